package message

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFieldsKeepsEveryOctet(t *testing.T) {
	type f struct{ name, raw string }
	for _, c := range []struct {
		header string
		want   []f
	}{
		{"", nil},
		{"A: b\r\nC:d\r\n\r\n", []f{{"A", "A: b\r\n"}, {"C", "C:d\r\n"}, {"", "\r\n"}}},
		{"A: b\n c\n\td\nE: f", []f{{"A", "A: b\n c\n\td\n"}, {"E", "E: f"}}},
		{"A : b\n", []f{{"A", "A : b\n"}}},
		{">From x y\nA: b\n", []f{{"", ">From x y\n"}, {"A", "A: b\n"}}},
		{"no colon\n but folded\nA: b\n", []f{{"", "no colon\n but folded\n"}, {"A", "A: b\n"}}},
		{": x\n", []f{{"", ": x\n"}}},
		{" x\nA: b\n", []f{{"", " x\n"}, {"A", "A: b\n"}}},
		{"\n x\nA: b\n", []f{{"", "\n"}, {"", " x\n"}, {"A", "A: b\n"}}},
		{"A: \r\r\nB\rC: d\r\n\r", []f{{"A", "A: \r\r\n"}, {"", "B\rC: d\r\n"}, {"", "\r"}}},
		{"\x00: a\n\xff: b\n", []f{{"", "\x00: a\n"}, {"", "\xff: b\n"}}},
	} {
		var got []f
		for field := range Fields([]byte(c.header)) {
			got = append(got, f{field.Name, string(field.Raw)})
		}
		require.Equal(t, c.want, got, "%q", c.header)
	}
}

func TestFieldsStopsWhenAsked(t *testing.T) {
	n := 0
	for range Fields([]byte("A: b\nC: d\n")) {
		n++
		break
	}
	require.Equal(t, 1, n)
}

func TestUnfold(t *testing.T) {
	for raw, want := range map[string]string{
		"":                             "",
		"Subject:":                     "",
		"Subject: a\r\n":               "a",
		"Subject : \t a b \t \r\n":     "a b",
		"Subject: a\r\n b\n\tc\r\n":    "a b\tc",
		"Subject: a\r\n \r\n b\r\n":    "a  b",
		"Subject:\r\n a\r\n":           "a",
		"Subject: a\rb\x00c\r\r\n":     "a b c",
		"no field\r\n at all\r\n":      "no field at all",
		"Subject: \xe9 \xc3\xa9 x\r\n": "\xe9 \xc3\xa9 x",
	} {
		in := []byte(raw)
		require.Equal(t, want, Unfold(in), "%q", raw)
		require.Equal(t, raw, string(in), "the field was changed")
	}
}

func TestDecodeText(t *testing.T) {
	for s, want := range map[string]string{
		"":                                             "",
		"plain = text ?=":                              "plain = text ?=",
		"=?utf-8?q?a_b=3D=5F?=":                        "a b=_",
		"=?UTF-8?Q?J=C3=BCrgen?=":                      "Jürgen",
		"=?utf-8?B?SsO8cmdlbg==?=":                     "Jürgen",
		"=?utf-8?b?SsO8cmdlbg?=":                       "Jürgen", // padding is missing
		"=?iso-8859-1?q?=E9?=":                         "é",
		"=?iso-8859-1*fr?q?=E9?=":                      "é", // RFC 2231 §5
		"=?windows-1251?b?z/Do4uXy?=":                  "Привет",
		"=?koi8-r?B?8NLJ18XU?=":                        "Привет",
		"=?gb2312?B?suLK1A==?=":                        "测试",
		"=?iso-2022-jp?B?GyRCJEgbKEI=?=":               "と",
		"=?utf-8?q?a?= =?utf-8?q?b?=":                  "ab",
		"=?utf-8?q?a?=\t =?iso-8859-1?q?=E9?=":         "aé",
		"=?utf-8?b?ww==?= =?utf-8?b?vA?=":              "ü",
		"=?utf-8?q?=C3?= =?utf-8?q?=BC?=":              "ü", // one character in two words
		"x =?utf-8?q?a?= y =?utf-8?q?b?= z":            "x a y b z",
		"=?utf-8?q?a b?=":                              "a b", // a space in a word
		"=?nonsense?q?a?= b":                           "=?nonsense?q?a?= b",
		"=?utf-8?q?a?= =?nonsense?q?b?= =?utf-8?q?c?=": "a =?nonsense?q?b?= c",
		"=?utf-8?x?a?=":                                "=?utf-8?x?a?=",
		"=?utf-8?q?a":                                  "=?utf-8?q?a",
		"=?utf-8?q?=zz=4?=":                            "=zz=4",
		"=?utf-8?q??=x":                                "x",
		"=?utf-8?q?a=0D=0ABcc:_x=00?=":                 "a  Bcc: x ",
		"=?utf-8?q?=FF?=":                              "\uFFFD",
		"=?=?=?utf-8?q?a?=":                            "=?=?a",
		"\xe9 =?utf-8?q?a?=":                           "\xe9 a",
	} {
		require.Equal(t, want, DecodeText(s), "%s", s)
	}
}

func TestM05Parameters(t *testing.T) {
	for s, want := range map[string][]Param{
		`a=b`:                                   {{"a", "b"}},
		`A="b c"; D=e`:                          {{"a", "b c"}, {"d", "e"}},
		`a="b\"c\\"`:                            {{"a", `b"c\`}},
		`a="b`:                                  {{"a", "b"}},
		`a="b\`:                                 {{"a", "b"}},
		`a=; b=c`:                               {{"a", ""}, {"b", "c"}},
		`a; b=c`:                                {{"b", "c"}},
		`=b; c=d`:                               {{"c", "d"}},
		`a=b c=d`:                               {{"a", "b"}, {"c", "d"}}, // no semicolon
		`a=b c d.pdf; e=f`:                      {{"a", "b c d.pdf"}, {"e", "f"}},
		`a=b (c); d = e`:                        {{"a", "b"}, {"d", "e"}},
		`a=b (1).pdf`:                           {{"a", "b (1).pdf"}},
		`a=b(1).pdf`:                            {{"a", "b(1).pdf"}},
		`(x) a (y) = (z) b`:                     {{"a", "b"}},
		`a=b; a=c`:                              {{"a", "b"}},
		`;;; a=b ;;`:                            {{"a", "b"}},
		`a="b"c; d=e`:                           {{"a", "b"}, {"d", "e"}},
		`"a"=b; c=d`:                            {{"c", "d"}},
		`a=http://x/?y=1; b=c`:                  {{"a", "http://x/?y=1"}, {"b", "c"}},
		`a*=utf-8''%e2%82%ac`:                   {{"a", "€"}},
		`a*=iso-8859-1'en'%E9`:                  {{"a", "é"}},
		`a*=nonsense''%E9`:                      {{"a", "\xe9"}},
		`a*=%41b`:                               {{"a", "Ab"}},
		`a*=utf-8''%4`:                          {{"a", "%4"}},
		`a*=utf-8''%zz%%41`:                     {{"a", "%zz%A"}},
		`a*=utf-8''x%0D%0Ay%00`:                 {{"a", "x  y "}},
		`a=plain; a*=utf-8''x`:                  {{"a", "x"}},
		`a*=utf-8''x; a=plain`:                  {{"a", "x"}},
		`a=plain; a*0=x; a*1=y`:                 {{"a", "xy"}},
		`a*0=x; a*1="y z"; b=c`:                 {{"a", "xy z"}, {"b", "c"}},
		`a*1=y; a*0=x`:                          {{"a", "xy"}},
		`a*0=x; a*2=z`:                          {{"a", "x"}}, // a gap
		`a*1=y; a=x`:                            {{"a", "x"}},
		`a*0=x; a*0=y; a*1=z`:                   {{"a", "xz"}}, // twice
		`a*0*=utf-8''%e2%82; a*1*=%ac; a*2=%41`: {{"a", "€%41"}},
		`a*0=x; a*1*=%41`:                       {{"a", "xA"}},
		`a*99999999999999999999=x`:              {{"a*99999999999999999999", "x"}},
		`a*x=y`:                                 {{"a*x", "y"}},
		`*=y`:                                   {{"*", "y"}},
		`a*1=y`:                                 {{"a", "y"}},
		``:                                      nil,
		`"`:                                     nil,
		`(`:                                     nil,
		`=`:                                     nil,
	} {
		v := structured{s: s}
		require.Equal(t, want, v.params(100), "%s", s)
	}
}
