package utf7

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzUTF7 proves that names survive encoding, and that a name has only one
// encoding.
func FuzzUTF7(f *testing.F) {
	for _, seed := range []string{"", "INBOX", "&", "&-", "Gr\u00fc\u00dfe", "&APwA3w-", "\U0001F4E7 mail", "&2D3c5w-", "&AGE-", "a\ufffdb", "&2D0-", "\u00fc&\u00fc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		encoded := Encode(s)
		decoded, err := Decode(encoded)
		if err != nil || utf8.ValidString(s) && decoded != s {
			t.Fatalf("%q became %q and %q: %v", s, encoded, decoded, err)
		}
		ascii := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
		if name, err := Decode(s); err == nil && ascii && Encode(name) != s {
			t.Fatalf("%q is another form of %q", s, Encode(name))
		}
	})
}
