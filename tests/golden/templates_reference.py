"""The reference for chat templates: Jinja2 in the environment that Transformers gives it.

compile_template() is transformers.utils.chat_template_utils._compile_jinja_template (5.24), with the
clock passed in and the filters `fromjson` and `from_json` added, which malina knows beside it.
"""

import datetime
import json

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1785585913  # 2026-08-01 12:05:13 UTC


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_generation_support")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def _generation_support(self, context, caller):
        return caller()


class TemplateDict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


class TemplateNamespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attrs = dict(*args, **kwargs)
        for name in attrs:
            TemplateNamespace._check_name(name)
        jinja2.utils.Namespace.__init__(self, attrs)

    def __setitem__(self, name, value):
        TemplateNamespace._check_name(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check_name(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    def strftime_now(format):
        return datetime.datetime.utcfromtimestamp(NOW).strftime(format)

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, jinja2.ext.loopcontrols],
    )
    env.filters["tojson"] = tojson
    env.filters["fromjson"] = env.filters["from_json"] = lambda text: json.loads(text)
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    env.globals["dict"] = TemplateDict()
    env.globals["namespace"] = TemplateNamespace
    return env


ENVIRONMENT = environment()


def compile_template(source):
    return ENVIRONMENT.from_string(source)


def render(template, conversation):
    """What Transformers renders: {"output": text} or {"error": why}."""
    variables = {
        "messages": conversation.get("messages"),
        "tools": conversation.get("tools"),
        "documents": None,
        "add_generation_prompt": conversation.get("add_generation_prompt", True),
    }
    for token in ("bos_token", "eos_token"):
        if conversation.get(token):
            variables[token] = conversation[token]
    variables.update(conversation.get("extra", {}))
    variables = json.loads(json.dumps(variables))  # a template must not see the caller's own objects
    try:
        return {"output": template.render(**variables)}
    except Exception as error:  # whatever Python raises is an error of the rendering
        return {"error": f"{type(error).__name__}: {error}"}
