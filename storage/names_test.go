package storage

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestI11CleanName(t *testing.T) {
	for name, want := range map[string]string{
		"INBOX": "INBOX", "inbox": "INBOX", "iNbOx/a": "INBOX/a", "a/inbox": "a/inbox", "INBOXES": "INBOXES", "cafe\u0301": "caf\u00e9",
		"...": "...", "CON": "CON", "a.": "a.", " ": " ", strings.Repeat("x", MaxName): strings.Repeat("x", MaxName),
		"../other": "", "/etc/x": "", "INBOX/../..": "", "a//b": "", "": "", "a/": "", "a*": "", "%": "", "a\x00": "", "a\n": "", "\x7f": "", "\u0080": "",
		"\xff": "", strings.Repeat("x", MaxName+1): "", strings.Repeat("a/", 10_000) + "a": "", "./a": "",
	} {
		got, err := CleanName(name)
		if want == "" {
			require.ErrorIs(t, err, ErrBadName, "%.40q", name)
			require.Empty(t, got)
			continue
		}
		require.NoError(t, err, "%.40q", name)
		require.Equal(t, want, got)
	}
}

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"INBOX", "inbox/x", "a/b/c", "e\u0301", "\u1100\u1161\u11a8", "\ufb01", "\u212b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := CleanName(name)
		if err != nil {
			require.ErrorIs(t, err, ErrBadName)
			return
		}
		again, err := CleanName(clean)
		require.NoError(t, err)
		require.Equal(t, clean, again)
		require.True(t, utf8.ValidString(clean))
		require.LessOrEqual(t, len(clean), MaxName)
		for level := range strings.SplitSeq(clean, Separator) {
			require.NotContains(t, []string{"", ".", ".."}, level)
		}
	})
}
