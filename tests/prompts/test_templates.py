"""Instructions from a file are filled in, and nothing else happens."""

import pytest

from versat2i.prompts.templates import Template


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ prompt.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{{ examples.append(1) }}",
        "{{ 1 + prompt }}",
        "{{ 1 // 0 }}",
    ],
)
def test_a_template_reaches_no_code_and_its_mistakes_are_one_line(tmp_path, text):
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(ValueError) as error:
        Template(str(tmp_path / "t.txt")).fill(prompt="a red circle", examples=["a"])
    assert str(error.value).startswith(f"{tmp_path / 't.txt'}: ") and "\n" not in str(error.value)
