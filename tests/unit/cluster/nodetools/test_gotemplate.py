"""Go's templates, the part that is here."""

from __future__ import annotations

from typing import Any

import pytest

from podwire.cluster.nodetools.gotemplate import TemplateError, render

DATA: dict[str, Any] = {
    "State": {"Pid": 6502, "Running": True, "Error": ""},
    "Name": "/x",
    "None": None,
    "List": ["a", "b"],
    "Map": {"k2": 2, "k1": [1, False]},
    "Mounts": [{"Source": "/s", "RW": True}],
    "Label": lambda name: name.upper(),
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ .State.Pid }}", "6502"),
        ("{{.State.Running}} {{.None}} {{.List}}", "true <no value> [a b]"),
        ("{{.Map}}", "map[k1:[1 false] k2:2]"),
        ("{{json .State}}", '{"Pid":6502,"Running":true,"Error":""}'),
        ("{{.Name | json}}", '"/x"'),
        ("{{range .List}}[{{.}}]{{end}}", "[a][b]"),
        ("{{range $i, $e := .List}}{{$i}}={{$e}};{{end}}", "0=a;1=b;"),
        ("{{range $k, $v := .Map}}{{$k}} {{end}}", "k1 k2 "),
        ("{{range $e := .List}}{{$e}}{{$.Name}}{{end}}", "a/xb/x"),
        ("{{range .None}}x{{else}}empty{{end}}", "empty"),
        ("{{if .State.Error}}bad{{else if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if not .State.Running}}x{{end}}|", "|"),
        ("{{with .State}}{{.Pid}}{{end}}", "6502"),
        ("{{$p := .State.Pid}}pid {{$p}}", "pid 6502"),
        ('{{index .Map "k2"}} {{index .List 1}}', "2 b"),
        ("{{(index .Mounts 0).Source}}", "/s"),
        ('{{join .List ", "}} {{upper .Name}} {{len .List}}', "a, b /X 2"),
        ('{{.Label "run"}}', "RUN"),
        ('{{if eq .Name "/x" "/y"}}same{{end}}', "same"),
        ('{{printf "%s-%d %v" .Name 7 .State.Running}}', "/x-7 true"),
        ("a {{- .Name -}} b", "a/xb"),
        ("{{/* nothing */}}x{{ `raw` }}", "xraw"),
        ("{{println .Name}}", "/x\n"),
        ('{{"a}"}} {{and true .Name}} {{or .State.Error "none"}}', "a} /x none"),
        ("plain", "plain"),
    ],
)
def test_render(template: str, text: str) -> None:
    assert render(template, DATA) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{.Nope}}", 'no entry for key "Nope"'),
        ("{{.Name.Deep}}", 'can\'t evaluate field "Deep"'),
        ("{{nope .Name}}", 'function "nope" not defined'),
        ("{{.Name", "unclosed action"),
        ("{{range .List}}", "without {{end}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{}}", "missing value"),
        ("{{.Name | }}", "missing value"),
        ("{{(.Name}}", "unclosed left paren"),
        ("{{$x}}", "undefined variable"),
        ("{{.Name 1}}", "can't give argument"),
        ("{{index .List 9}}", "error calling"),
        ("{{len 5}}", "error calling"),
        ("{{ % }}", "unexpected '%'"),
        ("{{ ) }}", "missing value"),
    ],
)
def test_errors_name_the_problem(template: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(template, DATA)
    assert problem in str(caught.value)
