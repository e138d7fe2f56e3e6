package mapping

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/mail"
)

const someMap = `
# the first back end
alice@example.test       10.0.0.11
"odd name"@example.test  10.0.0.14
bob                      mail2.example.test:1143
jürgen@münchen.example   10.0.0.15
carol@example.test       [2001:db8::7],user=$carol,tls=implicit
dave+boss@example.test   10.0.0.16
/^test-.*@example\.net$/ 10.0.0.13
*@example.net            10.0.0.12:143,tls=start,user=$1
/^(\w+)\.(\w+)@old\.test$/ 10.0.0.17,user=${2}1$$@$1
/@example\.net$/         never.example.test
/quux/                   10.0.0.18
` + "\t dave@example.test \t 10.0.0.19\t\r\n"

func table(t testing.TB, text string) *Table {
	t.Helper()
	table, err := ReadTable(strings.NewReader(text))
	require.NoError(t, err)
	return table
}

func TestLinesMapAsTheySay(t *testing.T) {
	m := table(t, "\ufeff"+someMap)
	require.Equal(t, 12, m.Len())
	for user, want := range map[string]Route{
		"alice@example.test":                  {Host: "10.0.0.11"},
		"Alice@EXAMPLE.test":                  {Host: "10.0.0.11"},
		"alice+tag@example.test":              {Host: "10.0.0.11"},
		`"alice"@example.test.`:               {Host: "10.0.0.11"},
		`"alice"@example.test`:                {Host: "10.0.0.11"},
		`"Odd name"@example.test`:             {Host: "10.0.0.14"},
		"bob":                                 {Host: "mail2.example.test", Port: 1143},
		"BOB+x":                               {Host: "mail2.example.test", Port: 1143},
		"bob@example.test":                    {},
		"JÜRGEN@MÜNCHEN.example":              {Host: "10.0.0.15"},
		"ju\u0308rgen@xn--mnchen-3ya.example": {Host: "10.0.0.15"},
		"carol@example.test":                  {Host: "2001:db8::7", User: "$carol", TLS: TLSImplicit},
		"dave+boss@example.test":              {Host: "10.0.0.16"},
		"dave+other@example.test":             {Host: "10.0.0.19"},
		"test-1@example.net":                  {Host: "10.0.0.13"},
		"TEST-1@example.net":                  {Host: "10.0.0.13"},
		"other+tag@Example.Net":               {Host: "10.0.0.12", Port: 143, TLS: TLSStart, User: "other+tag"},
		"first.last@old.test":                 {Host: "10.0.0.17", User: "last1$@first"},
		"xquuxy":                              {Host: "10.0.0.18"},
		"mallory@example.test":                {},
		"":                                    {},
		"@example.net":                        {},
		"x@sub.example.net":                   {},
	} {
		r, err := m.Map(context.Background(), user)
		if want == (Route{}) {
			require.ErrorIs(t, err, ErrNotMapped, user)
		} else {
			require.NoError(t, err, user)
		}
		require.Equal(t, want, r, user)
	}
}

func TestX10BadLinesAreToldWithTheirNumbers(t *testing.T) {
	for line, kind := range map[string]error{
		"alice host:99999": ErrBadRoute, "alice a,b": ErrBadRoute, "alice a b": ErrBadLine, "alice": ErrBadLine, "alice ": ErrBadLine,
		"alice host # comment": ErrBadLine, "/unclosed a": ErrBadLine, "// a": ErrBadLine, "/a/ b c": ErrBadLine, "/(/ a": nil, `/\8/ a`: nil,
		"* a": ErrBadLine, "*@ a": ErrBadLine, "*x@example.test a": ErrBadLine, "a*@example.test a": ErrBadLine, "*@example.test a,user=$2": ErrBadRoute,
		"/(a)/ b,user=$2": ErrBadRoute, "/(a)/ b,user=$x": ErrBadRoute, "/(a)/ b,user=${1": ErrBadRoute, "/(a)/ b,user=$0": ErrBadRoute, "/(a)/ b,user=$": ErrBadRoute,
		"\xff a": ErrBadLine, strings.Repeat("x", 5000) + " a": ErrBadLine, strings.Repeat("x", 2000) + " a": ErrBadLine, "taken@example.test b": ErrDuplicate,
		"Taken@EXAMPLE.test a": ErrDuplicate, "*@example.org a": ErrDuplicate, "a\x00b a": ErrBadLine,
	} {
		m, err := ReadTable(strings.NewReader("# one\ntaken@example.test a\n*@example.org b\n" + line + "\n"))
		require.Nil(t, m, "%.40q", line)
		bad, ok := errors.AsType[*LineError](err)
		require.True(t, ok, "%.40q gave %v", line, err)
		require.Equal(t, 4, bad.Line, "%.40q", line)
		require.ErrorContains(t, err, "line 4")
		if kind != nil {
			require.ErrorIs(t, err, kind, "%.40q", line)
		}
	}
}

func TestABadFileTellsABoundedNumberOfLines(t *testing.T) {
	_, err := ReadTable(strings.NewReader(strings.Repeat("bad\n", 1000)))
	require.ErrorContains(t, err, "line 20:")
	require.NotContains(t, err.Error(), "line 21:")
	require.ErrorContains(t, err, "980 more bad lines")
}

func TestDuplicatesTellBothLines(t *testing.T) {
	_, err := ReadTable(strings.NewReader("a x\nb x\nc x\nB y\nB z\n"))
	require.ErrorContains(t, err, "line 4: name is mapped already in line 2: b")
	require.ErrorContains(t, err, "line 5: name is mapped already in line 2: b")
}

func TestManyNamesAreAllFound(t *testing.T) {
	var text strings.Builder
	const n = 20_000
	for i := range n {
		fmt.Fprintf(&text, "user%d@example.test host%d.test,user=u%d\n", i, i%300, i)
	}
	m := table(t, text.String())
	require.Equal(t, n, m.Len())
	for i := range n {
		r, err := m.Map(context.Background(), fmt.Sprintf("user%d@example.test", i))
		require.NoError(t, err)
		require.Equal(t, Route{Host: fmt.Sprintf("host%d.test", i%300), User: fmt.Sprintf("u%d", i)}, r)
		_, err = m.Map(context.Background(), fmt.Sprintf("nobody%d@example.test", i))
		require.ErrorIs(t, err, ErrNotMapped)
	}
}

func TestAUserMadeOfAMatchIsBoundedAndNotEmpty(t *testing.T) {
	m := table(t, "/^(x*)@a\\.test$/ h,user=$1$1\n/^(y)?@/ h,user=$1\n/^z(q)?@/ h,user=$1\n")
	for _, user := range []string{strings.Repeat("x", 300) + "@a.test", "@a.test", "z@b.test"} {
		_, err := m.Map(context.Background(), user)
		require.ErrorIs(t, err, ErrNotMapped, "%.20q", user)
	}
}

func TestStaticMapsEverybody(t *testing.T) {
	want := Route{Host: "127.0.0.1", Port: 143}
	r, err := Static(want).Map(context.Background(), "anybody")
	require.NoError(t, err)
	require.Equal(t, want, r)
	_, err = Static(Route{}).Map(context.Background(), "anybody")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, ErrBadRoute)
	require.False(t, errors.Is(err, ErrNotMapped))
}

func FuzzReadTable(f *testing.F) {
	f.Add(someMap, "alice@example.test")
	f.Add("/(a+)(b)?/ h,user=$2\n*@x h,user=$1\n\"a b\"@x h\n", "aab")
	f.Add("a h\nA g\n", "a")
	f.Fuzz(func(t *testing.T, text, user string) {
		m, err := ReadTable(strings.NewReader(text))
		if err != nil {
			require.Nil(t, m)
			return
		}
		for _, who := range []string{user, strings.Fields(text + " x")[0]} {
			r, err := m.Map(context.Background(), who)
			if err != nil {
				require.ErrorIs(t, err, ErrNotMapped)
				require.Zero(t, r)
			} else {
				require.NoError(t, r.Check())
			}
		}
	})
}

func TestNamesInNormalFormAreKnownAtAGlance(t *testing.T) {
	for c := range 256 {
		user := "a" + string([]byte{byte(c)}) + "b@example.test"
		if name, ok := NormalName(user); isNormal(user) {
			require.True(t, ok)
			require.Equal(t, user, name)
			if a, err := mail.ParseAddress(user); err == nil {
				require.Equal(t, a.Key(), name)
			}
		}
	}
}
