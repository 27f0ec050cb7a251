"""Random chat templates and conversations, for templates_random.py."""

import random

TEXTS = ["", "a", "Hello", "user", "assistant", "content", "a,b,,c", "  spaced  ", "line\none\r\ntwo", "\t",
         "<|im_end|>", "<think>x</think>y", "it's", 'say "x"', "a'b\"c", "\\", "100%", "%s and %s", "{} {0}",
         "K\u00f6ln", "\u6771\u4eac", "\u00df\u0130\ufb01\u01c5", "\u03a3\u0391\u03a3", "e\u0301", "\u00a0x\u2003",
         "\u2028", "\U0001f468\u200d\U0001f469", "1", "-2", " 3 ", "4.5", "1e3", "0x1f", "1_000", "nan", "true",
         "[1, {\"k\": null}]", "Title case-word (x)", "x" * 40, "one two three four five six seven", "&<b>"]
NAMES = ["messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token", "text", "number",
         "real", "flag", "nothing", "items", "table", "missing"]
KEYS = ["role", "content", "tool_calls", "name", "k", "a", "b", "text", "0", "items", "missing"]
ROLES = ["system", "user", "assistant", "tool", "narrator"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


class Grammar:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = list(NAMES)
        self.macros = []
        self.spaces = []
        self.loops = 0

    def pick(self, *choices):
        return self.random.choice(choices)

    def chance(self, probability):
        return self.random.random() < probability

    def some(self, make, most=3):
        return [make() for _ in range(self.random.randint(0, most))]

    # Literals.

    def text(self):
        return self.random.choice(TEXTS)

    def quoted(self, text=None):
        text = self.text() if text is None else text
        quote = self.pick("'", '"')
        escaped = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
        if self.chance(0.7):
            escaped = escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
        return quote + escaped + quote

    def number(self):
        return self.pick("0", "1", "2", "3", "-1", "-2", "7", "10", "12345678901234567890", "2.5", "0.1", "-0.0", "1e3",
                         "1.0", "1_000", "3.14159", "1e22", "0.5", "1.5")

    def small(self):
        return self.pick("0", "1", "2", "3", "5", "8", "-1", "-2")

    # Expressions.

    def expression(self, depth=3):
        if depth <= 0:
            return self.leaf()
        make = self.random.choices(
            [self.leaf, self.access, self.binary, self.unary, self.filtered, self.tested, self.method, self.choice,
             self.container, self.call],
            [4, 5, 5, 1, 7, 3, 4, 2, 2, 2])[0]
        return make(depth - 1) if make != self.leaf else self.leaf()

    def inner(self, depth):
        """An operand: in parentheses, mostly."""
        made = self.expression(depth)
        simple = made.replace("_", "a").isalnum() or made[0] in "['\"" and self.chance(0.5)
        return made if simple or self.chance(0.1) else f"({made})"

    def leaf(self, depth=0):
        kind = self.random.random()
        if kind < 0.5:
            return self.random.choice(self.names)
        if kind < 0.75:
            return self.quoted()
        if kind < 0.93:
            return self.number()
        return self.pick("true", "false", "none", "True", "None", "[]", "{}", "()")

    def access(self, depth):
        base = self.pick(*self.names, self.inner(depth), "messages[0]", "messages[-1]", "table", "loop" if self.loops else "text", "items")
        form = self.random.random()
        if form < 0.35:
            return f"{base}.{self.pick(*KEYS, 'first', 'last', 'index', 'index0', 'length', 'revindex', 'previtem', 'nextitem')}"
        if form < 0.55:
            return f"{base}[{self.quoted(self.random.choice(KEYS))}]"
        if form < 0.8:
            return f"{base}[{self.pick(self.small(), self.expression(depth))}]"
        bound = lambda: self.pick("", "", self.small(), self.small(), "none")
        step = self.pick("", "", ":", ":2", ":-1", ":-2", ":3")
        return f"{base}[{bound()}:{bound()}{step}]"

    def binary(self, depth):
        if self.chance(0.05):
            return f"{self.pick('2', '-2', '2.5', '0', '10')} ** {self.pick('0', '3', '-1', '0.5', '20')}"
        operator = self.random.choice(BINARY)
        left, right = self.inner(depth), self.inner(depth)
        if self.chance(0.4):  # more often something that Python accepts
            if operator in ("+", "in", "<"):
                left, right = self.quoted(), self.pick("text", self.quoted(), "table.k", "messages[0].content")
            elif operator == "*":
                right = self.small()
            elif operator in ("-", "/", "//", "%"):
                left, right = self.pick("number", "real", self.number()), self.number()
        if self.chance(0.05):
            return f"{left} {operator} {right} {self.random.choice(BINARY)} {self.inner(depth)}"
        return f"{left} {operator} {right}"

    def unary(self, depth):
        return f"{self.pick('not ', 'not ', '-', '+')}{self.inner(depth)}"

    def choice(self, depth):
        otherwise = f" else {self.expression(depth)}" if self.chance(0.8) else ""
        return f"{self.inner(depth)} if {self.expression(depth)}{otherwise}"

    def container(self, depth):
        make = lambda: self.expression(depth - 1)
        kind = self.random.random()
        if kind < 0.45:
            return f"[{', '.join(self.some(make))}]"
        if kind < 0.6:
            return f"({self.inner(depth)}, {', '.join(self.some(make))})"
        pairs = (f"{self.pick(self.quoted(), self.quoted(self.random.choice(KEYS)), self.leaf())}: {make()}"
                 for _ in range(self.random.randint(0, 3)))
        return "{" + ", ".join(pairs) + "}"

    def call(self, depth):
        if self.macros and self.chance(0.6):
            name, parameters = self.random.choice(self.macros)
            given = [self.expression(depth - 1) for _ in range(self.random.randint(0, len(parameters)))]
            if parameters and self.chance(0.3):
                given.append(f"{self.random.choice(parameters)}={self.expression(depth - 1)}")
            return f"{name}({', '.join(given)})"
        return self.pick(
            f"range({self.small()})", f"range({self.small()}, {self.small()}, {self.pick('1', '2', '-1', '3')})",
            f"dict(a={self.expression(depth)}, b=1)", f"dict({self.inner(depth)})",
            f"namespace(a={self.expression(depth)}).a", f"strftime_now({self.quoted(self.pick('%Y-%m-%d', '%d %b %Y', '%A %j %%', '%H:%M'))})",
            f"loop.cycle({self.quoted()}, {self.small()})" if self.loops else "{}", f"raise_exception({self.quoted()})" if self.chance(0.1) else "dict()")

    FILTERS = {
        "abs": "", "capitalize": "", "count": "", "dictsort": "D", "e": "", "escape": "", "first": "", "float": "", "int": "",
        "items": "", "last": "", "length": "", "list": "", "lower": "", "reverse": "", "safe": "", "sort": "S", "string": "",
        "sum": "", "title": "", "tojson": "J", "trim": "T", "unique": "", "upper": "", "wordcount": "", "join": "O", "default": "F",
        "d": "F", "replace": "R", "round": "N", "center": "C", "indent": "I", "truncate": "U", "batch": "B", "map": "M", "select": "Y",
        "reject": "Y", "selectattr": "A", "rejectattr": "A", "min": "", "max": "", "format": "X", "fromjson": "",
    }
    TESTS = ["defined", "undefined", "none", "string", "number", "mapping", "iterable", "sequence", "integer", "float", "boolean",
             "true", "false", "callable", "lower", "upper", "odd", "even", "escaped", "filter", "test"]

    def arguments(self, kind, depth):
        flag = lambda: self.pick("true", "false")
        value = lambda: self.expression(depth - 1)
        attribute = lambda: self.quoted(self.pick(*KEYS, "content.text", "function.name"))
        options = {
            "": [""],
            "D": ["", "", f"({flag()})", f"(by={self.quoted(self.pick('key', 'value'))})", f"(reverse={flag()})"],
            "S": ["", "", f"({flag()})", f"(attribute={attribute()})", f"(case_sensitive={flag()})", f"(reverse={flag()}, attribute='role,content')"],
            "J": ["", "", "(indent=2)", "(indent=0)", "(indent='\t')", "(ensure_ascii=true)", "(separators=(',', ':'))", "(sort_keys=true)", f"(indent={self.small()})"],
            "T": ["", "", f"({self.quoted()})", "(none)"],
            "O": ["", f"({self.quoted()})", f"({self.quoted()}, {attribute()})", f"(attribute={attribute()})"],
            "F": [f"({value()})", f"({self.quoted()}, true)", ""],
            "R": [f"({self.quoted()}, {self.quoted()})", f"({self.quoted(self.pick('a', 'l', ' ', '<', ''))}, {value()}, {self.small()})"],
            "N": ["", f"({self.small()})", f"({self.small()}, {self.quoted(self.pick('ceil', 'floor', 'common'))})"],
            "C": [f"({self.pick('3', '9', '12')})", ""],
            "I": ["", f"({self.pick('1', '2', '8')})", f"(2, {flag()})", f"(2, {flag()}, {flag()})", f"({self.quoted(self.pick('> ', ''))})"],
            "U": ["(5)", "(5, true)", f"(9, {flag()}, '\u2026')", f"(4, true, '', {self.pick('0', '2')})", ""],
            "B": [f"({self.pick('1', '2', '3')})", f"(2, {value()})"],
            "M": [f"({self.quoted(self.pick('upper', 'length', 'string', 'trim', 'tojson', 'first'))})", f"(attribute={attribute()})",
                  f"(attribute={attribute()}, default={value()})", "('replace', 'a', 'b')"],
            "Y": ["", f"({self.quoted(self.pick('string', 'defined', 'none', 'odd', 'mapping', 'true'))})", f"('equalto', {value()})", f"('gt', {self.number()})"],
            "A": [f"({attribute()})", f"({attribute()}, 'defined')", f"({attribute()}, {self.quoted(self.pick('equalto', 'eq', 'ne', '=='))}, {self.quoted()})",
                  f"({attribute()}, 'in', {self.pick('text', 'items', self.quoted())})"],
            "X": [f"({value()})", f"({value()}, {value()})", f"(a={value()})"],
        }
        return self.random.choice(options[kind])

    def filter_name(self, depth):
        name = self.random.choice(list(self.FILTERS))
        return name + self.arguments(self.FILTERS[name], depth)

    def filtered(self, depth):
        subject = self.inner(depth)
        if self.chance(0.5):
            subject = self.pick("text", "messages", "items", "table", "number", "real", self.quoted(), "messages[0].content", "tools")
        return f"{subject} | {self.filter_name(depth)}" + (" | list" if self.chance(0.2) else "")

    def tested(self, depth):
        negated = self.pick("", "", "not ")
        test = self.random.choice(self.TESTS)
        if self.chance(0.3):
            test = self.pick("eq", "equalto", "ne", "lt", "le", "gt", "ge", "in", "divisibleby", "sameas", "==", "greaterthan")
            if test == "==":
                return f"{self.inner(depth)} | select('==', {self.leaf()}) | list"
            test += f"({self.expression(depth - 1)})" if self.chance(0.7) else f" {self.pick('none', 'true', '1', self.quoted())}"
        return f"{self.inner(depth)} is {negated}{test}"

    def method(self, depth):
        subject = self.pick("text", self.quoted(), "messages[0].content", "messages[-1]['content']", self.inner(depth))
        mark = lambda: self.quoted(self.pick("a", " ", ",", "l", "</think>", "<", "", "\n", self.text()))
        name = self.random.choice(["strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "upper", "lower", "title", "capitalize",
                                   "swapcase", "replace", "startswith", "endswith", "find", "rfind", "index", "count", "join", "format",
                                   "partition", "rpartition", "removeprefix", "removesuffix", "zfill", "center", "ljust", "rjust",
                                   "isdigit", "isalpha", "isalnum", "isspace", "isupper", "islower", "isdecimal", "isascii", "isprintable"])
        if self.chance(0.2):
            base = self.pick("table", "messages[0]", "items", "messages", self.inner(depth))
            return base + self.pick(".items()", ".keys()", ".values()", f".get({self.quoted(self.random.choice(KEYS))})",
                                    f".get({self.quoted(self.random.choice(KEYS))}, {self.leaf()})", ".copy()", f".count({self.leaf()})",
                                    f".index({self.leaf()})", ".append(1)", ".pop()", ".items() | list", ".values() | list")
        arguments = {
            "strip": ["", "", mark()], "lstrip": ["", mark()], "rstrip": ["", mark(), "none"],
            "split": ["", mark(), f"{mark()}, {self.small()}", f"none, {self.small()}", f"sep={mark()}"], "rsplit": ["", mark(), f"{mark()}, 1", "none, 2"],
            "splitlines": ["", "true"], "replace": [f"{mark()}, {mark()}", f"{mark()}, {mark()}, {self.small()}"],
            "startswith": [mark(), f"({mark()}, {mark()})", f"{mark()}, {self.small()}"], "endswith": [mark(), f"({mark()},)", f"{mark()}, 0, {self.small()}"],
            "find": [mark(), f"{mark()}, {self.small()}, {self.small()}"], "rfind": [mark(), f"{mark()}, {self.small()}"], "index": [mark()],
            "count": [mark(), f"{mark()}, {self.small()}"], "join": ["items", "messages", self.expression(depth), "table", "text"],
            "format": [self.leaf(), f"{self.leaf()}, {self.leaf()}"], "partition": [mark()], "rpartition": [mark()], "removeprefix": [mark()], "removesuffix": [mark()],
            "zfill": [self.pick("3", "9")], "center": ["9", "12, '*'"], "ljust": ["9", "9, '*'"], "rjust": ["9", "9, '\u00e9'"],
        }.get(name, [""])
        return f"{subject}.{name}({self.random.choice(arguments)})"

    # Statements.

    def space(self):
        return self.pick("", "", "", "\n", "\n", " ", "  ", "\n\n", "\t", " \n  ", "\u00a0")

    def block(self, content):
        begin = self.pick("{%", "{%", "{%", "{%-", "{%-", "{%+")
        end = self.pick("%}", "%}", "%}", "-%}", "-%}", "+%}")
        return f"{begin} {content} {end}{self.space()}"

    def output(self, depth):
        return f"{self.pick('{{', '{{', '{{-')} {self.expression(depth)} {self.pick('}}', '}}', '-}}')}"

    def scoped(self, make):
        """`make()` with names of its own."""
        names, macros = list(self.names), list(self.macros)
        made = make()
        self.names, self.macros = names, macros
        return made

    def body(self, depth):
        return "".join(self.statement(depth) + self.space() for _ in range(self.random.randint(0, 3)))

    def statement(self, depth):
        if depth <= 0:
            return self.pick(self.sane(0), self.output(1), self.pick("text", "<|im_start|>", "{ }", "\n", "  x\n"))
        make = self.random.choices(
            [self.output, self.branch, self.loop, self.set, self.set_block, self.macro, self.name_space, self.with_block, self.filter_block,
             self.generation, self.raw, self.comment, self.jump, self.plain, self.sane],
            [3, 5, 6, 4, 2, 2, 2, 1, 1, 1, 0.5, 0.5, 1, 3, 8])[0]
        return make(depth - 1 if make != self.output else 3)

    def sane(self, depth):
        """What is likely to render."""
        return "{{ " + self.pick(
            lambda: f"text | {self.filter_name(1)}", lambda: f"{self.quoted()} | {self.filter_name(1)}",
            lambda: f"{self.quoted()} | {self.filter_name(0)} | {self.filter_name(0)}",
            lambda: f"items | {self.filter_name(1)} | list", lambda: f"messages | {self.filter_name(1)} | list | tojson",
            lambda: f"table | {self.filter_name(1)}", lambda: f"number | {self.filter_name(0)}", lambda: f"real | {self.filter_name(0)}",
            lambda: f"{self.leaf()} is {self.random.choice(self.TESTS)}", lambda: self.method(0), lambda: self.method(1),
            lambda: f"{self.leaf()} ~ {self.leaf()}", lambda: f"{self.leaf()} == {self.leaf()}", lambda: self.container(2),
            lambda: f"({self.leaf()}, {self.leaf()}) | string", lambda: f"{self.number()} {self.pick('+', '-', '*', '/', '//', '%')} {self.number()}",
            lambda: f"{self.pick('%5.2f', '%d', '%s', '%-8s|', '%05d', '%x', '%r', '%.3e', '%g', '%+d', '%%', '%3c')!r} % ({self.leaf()},)",
            lambda: f"{self.text()!r} if {self.leaf()} else {self.leaf()}", lambda: f"text[{self.small()}:{self.small()}:{self.pick('1', '2', '-1')}]",
            lambda: f"messages[{self.small()}].content", lambda: f"({self.leaf()} | tojson) ~ ({self.leaf()} | string)")() + " }}"

    def plain(self, depth):
        return self.pick("text", " word ", "\n", "{", "}", "%}", "#", "<|im_start|>", "  \n\n", "\u6771 \n")

    def branch(self, depth):
        made = self.block(f"if {self.inner(2)}") + self.body(depth)
        while self.chance(0.2):
            made += self.block(f"elif {self.inner(2)}") + self.body(depth)
        if self.chance(0.4):
            made += self.block("else") + self.body(depth)
        return made + self.block("endif")

    def loop(self, depth):
        target, names = self.pick(("m", ["m"]), ("m", ["m"]), ("message", ["message"]), ("k, v", ["k", "v"]), ("(a, b)", ["a", "b"]), ("text", ["text"]))
        pairs = ["table.items()", "table | dictsort", "table | items", "messages[0].items()"]
        through = self.pick("messages", "messages", "items", "table", "tools or []", "text", "range(4)", self.inner(2))
        if len(names) == 2 and self.chance(0.9):
            through = self.random.choice(pairs)
        condition = f" if {self.scoped(lambda: self.with_names(names, lambda: self.expression(1)))}" if self.chance(0.2) else ""

        def inside():
            self.names += names * 2 + ["loop"]
            self.loops += 1
            made = self.body(depth)
            self.loops -= 1
            return made

        made = self.block(f"for {target} in {through}{condition}") + self.scoped(inside)
        if self.chance(0.2):
            made += self.block("else") + self.scoped(lambda: self.body(depth))
        return made + self.block("endfor")

    def with_names(self, names, make):
        self.names = self.names + names * 3
        return make()

    def set(self, depth):
        target = self.pick("x", "y", "text", "items", "found")
        if self.chance(0.1):
            return self.block(f"set x, y = {self.inner(1)}, {self.inner(1)}")
        made = self.block(f"set {target} = {self.expression(3)}")
        self.names.append(target)
        return made

    def set_block(self, depth):
        target = self.pick("x", "y", "text")
        applied = f" | {self.filter_name(1)}" if self.chance(0.3) else ""
        made = self.block(f"set {target}{applied}") + self.scoped(lambda: self.body(depth)) + self.block("endset")
        self.names.append(target)
        return made

    def macro(self, depth):
        name = self.pick("show", "render")
        parameters = self.pick([], ["a"], ["a", "b"], ["m", "x"])
        given = [p + (f"={self.leaf()}" if i == len(parameters) - 1 and self.chance(0.4) else "") for i, p in enumerate(parameters)]

        def inside():
            self.names += parameters * 2 + self.pick([], [], ["kwargs"], ["varargs"], ["caller"])
            loops, self.loops = self.loops, 0
            macros, self.macros = self.macros, []  # no recursion without an end
            made = self.body(depth)
            self.loops, self.macros = loops, macros
            return made

        made = self.block(f"macro {name}({', '.join(given)})") + self.scoped(inside) + self.block("endmacro")
        self.macros.append((name, parameters))
        return made

    def name_space(self, depth):
        if self.spaces and self.chance(0.7):
            name = self.random.choice(self.spaces)
            return self.block(f"set {name}.{self.pick('a', 'b', 'found')} = {self.pick(self.expression(2), name + '.a', name + '.a ~ 1')}")
        name = self.pick("ns", "state")
        self.spaces.append(name)
        self.names += [f"{name}.a", f"{name}.b"]
        return self.block(f"set {name} = namespace(a={self.expression(1)}, b={self.leaf()})")

    def with_block(self, depth):
        bound = self.pick(f"w = {self.expression(2)}", f"w = {self.expression(1)}, text = {self.leaf()}", "")
        return self.block(f"with {bound}") + self.scoped(lambda: self.with_names(["w"], lambda: self.body(depth))) + self.block("endwith")

    def filter_block(self, depth):
        return self.block(f"filter {self.filter_name(1)}") + self.scoped(lambda: self.body(depth)) + self.block("endfilter")

    def generation(self, depth):
        loops, self.loops = self.loops, 0
        made = self.block("generation") + self.scoped(lambda: self.body(depth)) + self.block("endgeneration")
        self.loops = loops
        return made

    def raw(self, depth):
        return "{% raw %}" + self.space() + self.pick("{{ x }}", "{% if", "text") + self.space() + self.pick("{% endraw %}", "{%- endraw -%}")

    def comment(self, depth):
        return self.pick("{#", "{#-") + self.pick(" x ", "", "\n\n", "{{ y }}") + self.pick("#}", "-#}") + self.space()

    def jump(self, depth):
        if not self.loops:
            return self.output(2)
        return self.block(f"if {self.inner(1)}") + self.block(self.pick("break", "continue")) + self.block("endif")

    def template(self):
        return "".join(self.statement(3) + self.space() for _ in range(self.random.randint(1, 5)))

    # Conversations.

    def value(self, depth=2):
        if depth <= 0 or self.chance(0.5):
            return self.pick(self.text(), self.text(), self.random.randint(-5, 99), 2.5, 1e30, -0.0, True, False, None, 2**63, [], {})
        if self.chance(0.5):
            return [self.value(depth - 1) for _ in range(self.random.randint(0, 3))]
        return {self.pick(*KEYS, self.text()): self.value(depth - 1) for _ in range(self.random.randint(0, 3))}

    def message(self, role=None):
        message = {"role": role or self.random.choice(ROLES)}
        form = self.random.random()
        if form < 0.75:
            message["content"] = self.text()
        elif form < 0.85:
            message["content"] = [{"type": "text", "text": self.text()} for _ in range(self.random.randint(0, 2))]
        elif form < 0.93:
            message["content"] = None
        if message["role"] == "assistant" and self.chance(0.3):
            message["tool_calls"] = [
                {"id": self.pick("abcdefgh1", "1"), "type": "function", "function": {"name": "get", "arguments": self.pick({}, {"k": self.value()}, "{}")}}]
        if self.chance(0.15):
            message[self.pick("reasoning_content", "thinking", "name", "tool_call_id", "k")] = self.pick(self.text(), None)
        return message

    def conversation(self):
        messages = [self.message("system")] if self.chance(0.4) else []
        for _ in range(self.random.randint(0, 3)):
            messages += [self.message("user"), self.message("assistant")] if self.chance(0.8) else [self.message()]
        if self.chance(0.7):
            messages.append(self.message("user"))
        tool = {"type": "function", "function": {"name": "get", "description": self.text(),
                                                 "parameters": {"type": "object", "properties": {"k": {"type": "string", "description": self.text()}}, "required": ["k"]}}}
        return {
            "messages": messages, "tools": self.pick(None, None, [tool], [tool, tool], []), "documents": None,
            "add_generation_prompt": self.chance(0.7), "bos_token": "<s>", "eos_token": "</s>",
            "text": self.text(), "number": self.random.randint(-3, 40), "real": self.pick(0.5, 2.5, -1.25, 1e16), "flag": self.chance(0.5),
            "nothing": None, "items": [self.value(1) for _ in range(self.random.randint(0, 4))],
            "table": {self.pick("a", "b", "k", "B", "\u00e9"): self.value(1) for _ in range(self.random.randint(0, 3))},
        }
