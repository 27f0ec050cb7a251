"""Makes templates/*.json: what Jinja2 renders of each template in templates/sources for each
conversation of templates_conversations.py, or that it raises.

    pip install jinja2==3.1.6 && python tests/golden/templates_golden.py
"""

import json
import pathlib
import warnings

import templates_reference
from templates_conversations import CONVERSATIONS

FOLDER = pathlib.Path(__file__).parent / "templates"


def write(path, content):
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    path.write_text(text, encoding="utf-8", newline="")


def main():
    warnings.simplefilter("ignore")
    write(FOLDER / "conversations.json", {"now": templates_reference.NOW, "conversations": CONVERSATIONS})
    rendered = raised = 0
    for path in sorted((FOLDER / "sources").glob("*.jinja")):
        source = path.read_bytes().decode("utf-8")
        template = templates_reference.compile_template(source)
        expected = {
            name: templates_reference.render(template, conversation)
            for name, conversation in CONVERSATIONS.items()
        }
        write(FOLDER / "expected" / (path.stem + ".json"), expected)
        rendered += sum("output" in result for result in expected.values())
        raised += sum("error" in result for result in expected.values())
    print(f"{rendered} rendered, {raised} raised")


if __name__ == "__main__":
    main()
