package mail

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestParseAddressKeepsTheSpelling(t *testing.T) {
	for s, want := range map[string]struct{ local, domain string }{
		"a@b":                           {"a", "b"},
		"Jane.Doe@Example.ORG":          {"Jane.Doe", "Example.ORG"},
		"a+b=c/d!#$%&'*?^_`{|}~-@x.y":   {"a+b=c/d!#$%&'*?^_`{|}~-", "x.y"},
		`"a b"@c`:                       {"a b", "c"},
		`"a@b"@c`:                       {"a@b", "c"},
		`"a\"b"@c`:                      {`a"b`, "c"},
		`"a\\"@c`:                       {`a\`, "c"},
		`"\a"@c`:                        {"a", "c"},
		`".a..b."@c`:                    {".a..b.", "c"},
		`"<>"@c`:                        {"<>", "c"},
		`">\" SIZE=1"@c`:                {`>" SIZE=1`, "c"},
		"a@example.org.":                {"a", "example.org."},
		"a@_dmarc.example":              {"a", "_dmarc.example"},
		"a@1.2.3.4":                     {"a", "1.2.3.4"},
		"a@xn--bcher-kva.example":       {"a", "xn--bcher-kva.example"},
		"a@[192.0.2.1]":                 {"a", "[192.0.2.1]"},
		"a@[IPv6:2001:db8::1]":          {"a", "[IPv6:2001:db8::1]"},
		"a@[ipv6:::]":                   {"a", "[ipv6:::]"},
		"jürgen@bücher.example":         {"jürgen", "bücher.example"},
		"用户@例子.广告":                      {"用户", "例子.广告"},
		`"ü b"@c`:                       {"ü b", "c"},
		"postmaster@example.org":        {"postmaster", "example.org"},
		"user%foreign@local":            {"user%foreign", "local"},
		"foreign!user@local":            {"foreign!user", "local"},
		strings.Repeat("x", 64) + "@d":  {strings.Repeat("x", 64), "d"},
		strings.Repeat("x", 65) + "@d":  {strings.Repeat("x", 65), "d"}, // a long reverse-path
		strings.Repeat("x", 252) + "@d": {strings.Repeat("x", 252), "d"},
		"a@" + strings.Repeat("x", 63):  {"a", strings.Repeat("x", 63)},
		"a@" + hostName(252):            {"a", hostName(252)},
	} {
		a, err := ParseAddress(s)
		require.NoError(t, err, s)
		require.Equal(t, s, a.String())
		require.Equal(t, want.local, a.Local(), s)
		require.Equal(t, want.domain, a.Domain(), s)
		require.False(t, a.IsNull())
		again, err := ParseAddress(a.String())
		require.NoError(t, err)
		require.Equal(t, a, again)
	}
}

// hostName returns a name of n octets of labels as long as can be.
func hostName(n int) string {
	s := strings.Repeat(strings.Repeat("d", 63)+".", 5)[:n]
	return strings.TrimSuffix(s, ".") + strings.Repeat("d", n-len(strings.TrimSuffix(s, ".")))
}

func TestS13ParseAddressRefuses(t *testing.T) {
	for _, s := range []string{
		"", " ", "@", "a", "a@", "@b", "a@@b", "a@b@c", "<a@b>", "a b@d", " a@b", "a@b ", "a@b c", "a@b,c@d",
		".a@b", "a.@b", "a..b@c", "a,b@c", "a;b@c", "a(b)@c", "a<b@c", "a[b@c", `a\b@c`, `a"b@c`, `"a"b@c`, `"a".b@c`, `a."b"@c`,
		`""@d`, `"a@b`, `"a\"@b`, `"a`, `"`, `"\`, `"a"`, `"a"@`, "\"a\x00b\"@c", "\"a\\\x00\"@c", "\"a\x7f\"@c", "\"a\tb\"@c",
		"a@b..", "a@.b", "a@b..c", "a@-b", "a@b-", "a@b_c.-d", "a@b/c", "a@b:25", "a@" + strings.Repeat("x", 64), "a@..", "a@.",
		"a@[]", "a@[", "a@[192.0.2.1", "a@192.0.2.1]", "a@[192.0.2.256]", "a@[192.0.2]", "a@[2001:db8::1]", "a@[IPv6:]", "a@[IPv6:192.0.2.1]",
		"a@[IPv6:fe80::1%eth0]", "a@[IPv6:2001:db8::1]x", "a@[foo:bar]", "a@[192.0.2.1].b",
		"@a,@b:c@d", "@a:b@c",
		"a@ü..de", "a@.ü", "a@\u3002ü", "a@-ü.de", "a@ü_x.de", "a@a\u200db.ü", "a@" + strings.Repeat("ü", 70) + ".de", "a@ü b.de", "a@ü/x.de",
		"\xff@b", "a@\xff", "\"\xc3\"@b",
		strings.Repeat("x", 253) + "@d", "a@" + hostName(253), `"` + strings.Repeat("x", 251) + `"@d`, strings.Repeat("a@b", 1<<20),
		"po\u017ftmaster",
	} {
		a, err := ParseAddress(s)
		require.ErrorIs(t, err, ErrBadAddress, "%.80q", s)
		require.True(t, a.IsNull())
	}
}

func TestS15NoAddressHoldsALineBreakOrNUL(t *testing.T) {
	for _, c := range []string{"\r", "\n", "\r\n", "\x00", "\r\nX-Injected: 1"} {
		for _, s := range []string{"a" + c + "@d", "a@d" + c, c + "a@d", "a@" + c + "d", `"a` + c + `"@d`, `"a\` + c + `"@d`, "a@[192.0.2.1" + c + "]", "ü" + c + "@d", "a@ü" + c, "postmaster" + c} {
			_, err := ParseAddress(s)
			require.ErrorIs(t, err, ErrBadAddress, "%q", s)
			_, err = MustParseAddress("a@b").WithDomain("d" + c)
			require.ErrorIs(t, err, ErrBadAddress, "%q", s)
		}
	}
}

func TestNullPathAndPostmaster(t *testing.T) {
	var null Address
	require.True(t, null.IsNull())
	require.Empty(t, null.String())
	require.Empty(t, null.Key())
	require.Empty(t, null.Local())
	require.False(t, null.NeedsUTF8())
	_, err := null.WithDomain("example.org")
	require.ErrorIs(t, err, ErrBadAddress)

	for _, s := range []string{"postmaster", "Postmaster", "POSTMASTER"} {
		a, err := ParseAddress(s)
		require.NoError(t, err)
		require.Equal(t, Postmaster, a)
	}
	require.Equal(t, "postmaster", Postmaster.String())
	require.False(t, Postmaster.IsNull())
	a, err := Postmaster.WithDomain("example.org")
	require.NoError(t, err)
	require.Equal(t, "postmaster@example.org", a.String())
	require.NotEqual(t, Postmaster.Key(), a.Key())
}

func TestKeyIsTheSameForEverySpellingOfAMailbox(t *testing.T) {
	for _, same := range [][]string{
		{"jane@example.org", "Jane@Example.ORG", `"jane"@example.org`, `"\j\a\n\e"@EXAMPLE.org.`},
		{`"a b"@c`, `"A\ B"@C`},
		{"jürgen@bücher.example", "JÜRGEN@BÜCHER.example", "ju\u0308rgen@bu\u0308cher.example", "jürgen@xn--bcher-kva.example", "jürgen@XN--BCHER-KVA.EXAMPLE.", "jürgen@bücher。example"},
		{"J\u030c@x", "j\u030c@x", "\u01f0@x"}, // only the small letter has a composed form
		{"a@example.org", "a@ex\u00adample.org", "a@ｅxample.org"},
		{"a@[IPv6:2001:db8::1]", "a@[ipv6:2001:DB8:0:0:0:0:0:1]"},
		{"a@[192.0.2.1]", `"a"@[192.0.2.1]`},
		{"postmaster", "POSTMASTER"},
	} {
		for _, s := range same {
			require.Equal(t, MustParseAddress(same[0]).Key(), MustParseAddress(s).Key(), s)
		}
	}
}

func TestKeyTellsMailboxesApart(t *testing.T) {
	seen := map[string]string{}
	for _, s := range []string{
		"a@b", "b@a", "a@b.c", `"a@b"@c`, `"a@b@c"@c`, "a+b@c", "ab@c", "a.b@c", `"a "@b`, `" a"@b`, `"\"a\""@b`,
		"postmaster", "postmaster@b", "a@[192.0.2.1]", "a@192.0.2.1", "a@[IPv6:::1]", "ü@b", "u@b", "a@ü.b", "a@u.b", "a@exаmple.org", "a@example.org",
	} {
		key := MustParseAddress(s).Key()
		require.NotContains(t, seen, key, "%s and %s", s, seen[key])
		seen[key] = s
	}
}

func TestDomainKey(t *testing.T) {
	for s, want := range map[string]string{
		"":                    "",
		".":                   "",
		"Example.ORG.":        "example.org",
		"BÜCHER.example.":     "xn--bcher-kva.example",
		"faß.de":              "xn--fa-hia.de",
		"not a domain ü!":     "not a domain ü!",
		"[192.0.2.1]":         "[192.0.2.1]",
		"[IPv6:2001:DB8:0::]": "[ipv6:2001:db8::]",
		"[IPv6:nonsense]":     "[ipv6:nonsense]",
	} {
		require.Equal(t, want, DomainKey(s))
	}
}

func TestASCII(t *testing.T) {
	for s, want := range map[string]string{
		"a@b":              "a@b",
		"A@Bücher.Example": "A@xn--bcher-kva.example",
		`"a b"@bücher.de`:  `"a b"@xn--bcher-kva.de`,
		"postmaster":       "postmaster",
	} {
		a := MustParseAddress(s)
		require.False(t, a.NeedsUTF8())
		ascii, err := a.ASCII()
		require.NoError(t, err)
		require.Equal(t, want, ascii.String())
	}
	null, err := Address{}.ASCII()
	require.NoError(t, err)
	require.True(t, null.IsNull())

	a := MustParseAddress("jürgen@b")
	require.True(t, a.NeedsUTF8())
	_, err = a.ASCII()
	require.ErrorIs(t, err, ErrBadAddress)

	a = MustParseAddress(strings.Repeat("x", 239) + "@éüö.example")
	_, err = a.ASCII()
	require.ErrorIs(t, err, ErrBadAddress, "too long with A-labels")
}

func TestWithDomainKeepsTheLimits(t *testing.T) {
	a := MustParseAddress(strings.Repeat("x", 200) + "@d")
	_, err := a.WithDomain(hostName(53))
	require.NoError(t, err)
	_, err = a.WithDomain(hostName(54))
	require.ErrorIs(t, err, ErrBadAddress)
	for _, d := range []string{"", ".", "a b", "a@b", "a>", "d\xff", "ü\xff"} {
		_, err = a.WithDomain(d)
		require.ErrorIs(t, err, ErrBadAddress, d)
	}
}

func TestAddressAsText(t *testing.T) {
	type box struct{ A, Null, Root Address }
	in := box{A: MustParseAddress(`"a\"b"@bücher.de`), Root: Postmaster}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	var out box
	require.NoError(t, json.Unmarshal(text, &out))
	require.Equal(t, in, out)
	require.Error(t, json.Unmarshal([]byte(`{"A":"a@b\r\nc"}`), &out))
	require.Equal(t, in.A, out.A, "a refused text must change nothing")
}

func TestMustParseAddressPanics(t *testing.T) {
	require.Panics(t, func() { MustParseAddress("a") })
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"a@b", `"a\"b"@d`, `"a@b"@c`, "postmaster", "ü@ü.de", "a@[192.0.2.1]", "a@[IPv6:::1]", "J\u030c@x", "a@b.\u3002", "a@xn--bcher-kva.de", "a\r\n@b"} {
		f.Add(s, "d")
	}
	f.Fuzz(func(t *testing.T, s, domain string) {
		key := DomainKey(domain)
		if checkDomain(domain) == nil {
			require.Equal(t, key, DomainKey(key), "the normal form has a normal form of its own")
		}
		a, err := ParseAddress(s)
		if err != nil {
			require.ErrorIs(t, err, ErrBadAddress)
			require.True(t, a.IsNull())
			return
		}
		requireWritable(t, a)
		if a != Postmaster {
			require.Equal(t, s, a.String())
		}
		require.Equal(t, a.Key(), requote(t, a).Key())
		if ascii, err := a.ASCII(); err == nil {
			requireWritable(t, ascii)
			require.True(t, isASCII(ascii.String()))
			require.Equal(t, a.Key(), ascii.Key())
		}
		if other, err := a.WithDomain(domain); err == nil {
			requireWritable(t, other)
			require.Equal(t, a.Local(), other.Local())
			require.Equal(t, DomainKey(a.Domain()) == DomainKey(domain) && a != Postmaster, a.Key() == other.Key())
		}
	})
}

// requireWritable holds what lets an address go on the wire as it is.
func requireWritable(t *testing.T, a Address) {
	s := a.String()
	require.False(t, strings.ContainsAny(s, "\r\n\x00"))
	require.True(t, utf8.ValidString(s))
	require.LessOrEqual(t, len(s), MaxPathLength)
	again, err := ParseAddress(s)
	require.NoError(t, err)
	require.Equal(t, a, again)
}

// requote writes the same mailbox with every octet quoted, if that fits.
func requote(t *testing.T, a Address) Address {
	if a.domain == "" || 2*len(a.Local())+3+len(a.domain) > MaxPathLength || !isASCII(a.local) {
		return a
	}
	var b strings.Builder
	for _, c := range []byte(a.Local()) {
		b.WriteString(`\` + string(c))
	}
	again, err := ParseAddress(`"` + b.String() + `"@` + a.domain)
	require.NoError(t, err)
	return again
}
