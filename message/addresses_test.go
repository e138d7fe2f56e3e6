package message

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func parseAddresses(s string, most int) []Address {
	var p addressParser
	return p.parse(s, most)
}

func TestAddressList(t *testing.T) {
	none, end := "MISSING_DOMAIN", Address{}
	for s, want := range map[string][]Address{
		"":                       nil,
		" , ,; ":                 nil,
		"a@b":                    {{"", "a", "b"}},
		"a@b, c@d":               {{"", "a", "b"}, {"", "c", "d"}},
		"a@b; c@d;":              {{"", "a", "b"}, {"", "c", "d"}},
		"<a@b>":                  {{"", "a", "b"}},
		"Jane <a@b>":             {{"Jane", "a", "b"}},
		"Jane Q. Doe <a@b>":      {{"Jane Q. Doe", "a", "b"}},
		"Jane  Q.\tDoe<a@b>":     {{"Jane Q. Doe", "a", "b"}},
		`"Doe, Jane" <a@b>`:      {{"Doe, Jane", "a", "b"}},
		`"a \"b\" \\c" <a@b>`:    {{`a "b" \c`, "a", "b"}},
		`"Doe" "Jane" <a@b>`:     {{"Doe Jane", "a", "b"}},
		`a@b (Jane Doe)`:         {{"Jane Doe", "a", "b"}},
		`a@b (Jane (Q.) Doe)`:    {{"Jane (Q.) Doe", "a", "b"}},
		`a@b (Jane \) Doe)`:      {{"Jane ) Doe", "a", "b"}},
		`Jane (x) <a@b> (y)`:     {{"Jane", "a", "b"}},
		`a(x)@(y)b(z)`:           {{"z", "a", "b"}},
		`a . b @ c`:              {{"a .", "b", "c"}},
		`<a . b @ c . d>`:        {{"", "a.b", "c.d"}},
		`"a b"@c`:                {{"", "a b", "c"}},
		`"a\"b"@c`:               {{"", `a"b`, "c"}},
		`<"a@b"@c>`:              {{"", "a@b", "c"}},
		`"x".y@c`:                {{"", "x.y", "c"}},
		`a@[192.0.2.1]`:          {{"", "a", "[192.0.2.1]"}},
		`<a@[IPv6:2001:db8::1]>`: {{"", "a", "[IPv6:2001:db8::1]"}},
		`<@x,@y:a@b>, c@d`:       {{"", "a", "b"}, {"", "c", "d"}},
		`<@x:a@b>`:               {{"", "a", "b"}},
		`<>`:                     {{"", "MISSING_MAILBOX", none}},
		`Jane <>`:                {{"Jane", "MISSING_MAILBOX", none}},
		`root`:                   {{"", "root", none}},
		`Jane <root>`:            {{"Jane", "root", none}},
		`Jane Doe`:               {{"Jane Doe", "MISSING_MAILBOX", none}},
		`a@`:                     {{"", "a", none}},
		`@b`:                     {{"", "MISSING_MAILBOX", "b"}},
		`Jane Doe a@b`:           {{"Jane Doe", "a", "b"}},
		`a@b Jane Doe`:           {{"", "a", "b"}},
		`a@b <a@b>`:              {{"a@b", "a", "b"}},
		`a@b c@d, e@f`:           {{"", "a", "b"}, {"", "c", "d"}, {"", "e", "f"}},
		`<a@b> <c@d>`:            {{"", "a", "b"}, {"", "c", "d"}},
		`<a@b, c@d`:              {{"", "a", "b"}, {"", "c", "d"}},
		`Jane a@b>, c@d`:         {{"Jane", "a", "b"}, {"", "c", "d"}},
		`a@b@c`:                  {{"", "a@b", "c"}},
		`<a b@c>`:                {{"", "a b", "c"}},
		`"unterminated <a@b>, c`: {{"", "unterminated <a@b>, c", none}},
		`[list] <a@b>`:           {{"[list]", "a", "b"}},

		"=?utf-8?q?J=C3=BC?= <a@b>":                        {{"=?utf-8?q?J=C3=BC?=", "a", "b"}},
		"=?utf-8?Q?Doe,_Jane_<x@y>?= <a@b>, c@d":           {{"=?utf-8?Q?Doe,_Jane_<x@y>?=", "a", "b"}, {"", "c", "d"}},
		"=?utf-8?q?a?= =?utf-8?q?b?= <a@b>":                {{"=?utf-8?q?a?= =?utf-8?q?b?=", "a", "b"}},
		"=?utf-8?q?only=20a=20name?=":                      {{"=?utf-8?q?only=20a=20name?=", "MISSING_MAILBOX", none}},
		"=?a@b, c@d":                                       {{"", "=?a", "b"}, {"", "c", "d"}},
		"Undisclosed recipients:;":                         {{"", "Undisclosed recipients", ""}, end},
		`"The Team": a@b, Jane <c@d>; e@f`:                 {{"", "The Team", ""}, {"", "a", "b"}, {"Jane", "c", "d"}, end, {"", "e", "f"}},
		"one: a@b":                                         {{"", "one", ""}, {"", "a", "b"}, end},
		"one: two: a@b;":                                   {{"", "one", ""}, end, {"", "two", ""}, {"", "a", "b"}, end},
		": a@b;":                                           {{"", "a", "b"}},
		"a@b, !!!, (((, c@d":                               {{"", "a", "b"}, {"", "!!!", none}},
		"a@b, ))), c@d":                                    {{"", "a", "b"}, {"", "c", "d"}},
		"\xfc@\xe4, Z\xfcrich <c@d>":                       {{"", "\xfc", "\xe4"}, {"Z\xfcrich", "c", "d"}},
		"Jane Doe <a@b>, \"x\" y <c@d> z, Max <e@f> (foo)": {{"Jane Doe", "a", "b"}, {"x y", "c", "d"}, {"Max", "e", "f"}},
	} {
		require.Equal(t, want, parseAddresses(s, 100), "%s", s)
	}
}

func TestI26OneBadAddressDropsNoOther(t *testing.T) {
	for _, bad := range []string{"@", "@@@@", "<", ">", "<>", "a b c", `"`, "a@b@c@", "<<a>>", "[", "a@[", `\`, ".", "a@b c@d e@f", "<@", "<@a:>", ":", "\x01"} {
		list := parseAddresses("first@a, "+bad, 100)
		require.Contains(t, list, Address{"", "first", "a"}, bad)
		if !strings.ContainsAny(bad, `"[`) {
			list = parseAddresses(bad+", last@z", 100)
			require.Contains(t, list, Address{"", "last", "z"}, bad)
		}
	}
}

func TestM06CommentsAndBackslashes(t *testing.T) {
	for s, want := range map[string][]Address{
		`a@b (x\`:            {{`x`, "a", "b"}},
		`a@b (`:              {{"", "a", "b"}},
		`a@b \`:              {{"", "a", "b"}},
		`"a\`:                {{"", "a", "MISSING_DOMAIN"}},
		`<a@b\`:              {{"", "a", `b\`}},
		`((((a@b`:            nil,
		`((((x)))) a@b`:      {{"(((x)))", "a", "b"}},
		`a@b ((((((((((x\\\`: {{`(((((((((x\`, "a", "b"}},
	} {
		require.Equal(t, want, parseAddresses(s, 100), "%s", s)
	}
}

func TestAddressLimitKeepsGroupsWhole(t *testing.T) {
	const s = "a@b, g: c@d, e@f, h@i; j@k"
	require.Equal(t, []Address{{"", "a", "b"}}, parseAddresses(s, 1))
	require.Equal(t, []Address{{"", "a", "b"}, {"", "c", "d"}}, parseAddresses(s, 2))
	require.Equal(t, []Address{{"", "a", "b"}, {"", "g", ""}, {}}, parseAddresses(s, 3))
	require.Equal(t, []Address{{"", "a", "b"}, {"", "g", ""}, {"", "c", "d"}, {}}, parseAddresses(s, 4))
	require.Nil(t, parseAddresses(s, 0))
}

func FuzzAddressList(f *testing.F) {
	for _, s := range []string{"a@b", `"a" <b@c>, d`, "g: a@b;", "<@a,@b:c@d>", "(((", `a@b (x\`, "=?utf-8?q?a,b?= <c@d>", "a@[1]", "a b@c d@e", "<a", "x <y@z> <"} {
		f.Add(s, 5)
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = min(max(most, 0), 1000)
		list := parseAddresses(s, most)
		var steps addressParser
		steps.begin(s, most)
		for steps.more() {
			steps.step()
		}
		require.Equal(t, steps.result(), list, "the short way is another way")
		require.LessOrEqual(t, len(list), most)
		group := false
		for _, a := range list {
			switch {
			case a == (Address{}):
				require.True(t, group, "a group ends that did not begin")
				group = false
			case a.Host == "":
				require.False(t, group, "a group in a group")
				require.Empty(t, a.Name)
				group = true
			default:
				require.NotEmpty(t, a.Mailbox)
			}
		}
		require.False(t, group, "a group does not end")
		for _, a := range list {
			require.LessOrEqual(t, len(a.Name)+len(a.Mailbox)+len(a.Host), len(s)+len(MissingMailbox)+len(MissingHost))
		}
	})
}
