// What is refused before anything runs, and where the message says it stands.
#include "text/jinja_parser.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/jinja_scope.h"

namespace malina::text::jinja {
namespace {

std::string refusal(std::string_view source) {
  try {
    Tree tree = parse(source);
    place_variables(tree);
  } catch (const base::Error& error) {
    return std::string(base::name(error.fault())) + ": " + error.what();
  }
  return "accepted";
}

struct Case {
  std::string_view source, refusal;
};

void expect_all(std::initializer_list<Case> cases) {
  for (const auto& [source, expected] : cases) EXPECT_EQ(refusal(source), expected) << source;
}

TEST(JinjaParser, NamesTheLineOfASyntaxError) {
  expect_all({
      {"a\n{% for m in x %}\n{{ m }}\n",
       "corrupt_file: chat template, line 3: the template ends where 'endfor' is expected"},
      {"a\n\n{% if x %}b{% else %}c",
       "corrupt_file: chat template, line 3: the template ends where 'endif' is expected"},
      {"a\n{% endfor %}", "corrupt_file: chat template, line 2: 'endfor' closes nothing here"},
      {"{% if x %}\n{% endfor %}",
       "corrupt_file: chat template, line 2: 'endfor' closes nothing here"},
      {"a\n{% else %}", "corrupt_file: chat template, line 2: 'else' closes nothing here"},
      {"a\nb\n{{ 'abc }}", "corrupt_file: chat template, line 3: a string is not closed"},
      {"a\n{{ x ) }}", "corrupt_file: chat template, line 2: ')' closes nothing"},
      {"a\n{{ x $ }}", "corrupt_file: chat template, line 2: '$' has no meaning here"},
      {"a\n{{ x",
       "corrupt_file: chat template, line 2: the end of the template where '}}' is "
       "expected"},
      {"a\n{{ }}", "corrupt_file: chat template, line 2: '}}' where an expression is expected"},
      {"a\n{# b", "corrupt_file: chat template, line 2: the comment is not closed by '#}'"},
      {"a\n{% raw %}b", "corrupt_file: chat template, line 2: 'raw' is not closed by 'endraw'"},
      {"a\n{% set 1 = 2 %}", "corrupt_file: chat template, line 2: this cannot be assigned to"},
      {"a\n{% break %}", "corrupt_file: chat template, line 2: 'break' stands outside of a loop"},
      {"a\n{% for m x %}{% endfor %}",
       "corrupt_file: chat template, line 2: 'x' where 'in' is expected"},
      {"a\n\xff", "corrupt_file: chat template, line 2: the text is not valid UTF-8"},
  });
}

TEST(JinjaParser, NamesTheLineOfWhatIsUnsupported) {
  expect_all({
      {"a\n{{ x\n| foo }}", "unsupported: chat template, line 3: filter 'foo' is not supported"},
      {"a\n{{ x | map('foo') }}",
       "unsupported: chat template, line 2: filter 'foo' is not supported"},
      {"a\n{% if x is foo %}{% endif %}",
       "unsupported: chat template, line 2: test 'foo' is not supported"},
      {"a\n{{ x | selectattr('a', 'foo') }}",
       "unsupported: chat template, line 2: test 'foo' is not supported"},
      {"a\n{% include 'b' %}",
       "unsupported: chat template, line 2: tag 'include' is not supported"},
      {"a\n{% call m() %}{% endcall %}",
       "unsupported: chat template, line 2: tag 'call' is not supported"},
      {"a\n{% for m in x recursive %}{% endfor %}",
       "unsupported: chat template, line 2: a recursive 'for' is not supported"},
      {"a\n{{ foo(1) }}", "unsupported: chat template, line 2: function 'foo' is not supported"},
      {"a\n{{ lipsum }}", "unsupported: chat template, line 2: 'lipsum' is not supported"},
      {"a\n{{ 'b'.encode() }}",
       "unsupported: chat template, line 2: method 'encode' is not supported there"},
      {"a\n{{ dict(*x) }}",
       "unsupported: chat template, line 2: unpacking arguments with '*' is not supported"},
  });
}

// Line ends of every kind count as one each, also inside tags, comments and strings.
TEST(JinjaParser, CountsLinesAsAnEditorDoes) {
  for (const std::string_view before :
       {"\n\n\n", "\r\n\r\n\r\n", "\r\r\r", "{#\n\n#}\n", "{{ 'a\n\nb' }}\n", "{{ 1\n+\n1\n}}",
        "{% if x %}\n{% endif %}\n\n", "{%- set y = 1 -%}\n \n\n",
        "{% raw %}\n{{\n\n{% endraw %}"}) {
    EXPECT_EQ(refusal(std::string(before) + "{{ x | foo }}"),
              "unsupported: chat template, line 4: filter 'foo' is not supported")
        << before;
  }
}

}  // namespace
}  // namespace malina::text::jinja
