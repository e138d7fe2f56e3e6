package storage

import (
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of a mailbox name.
const (
	MaxName   = 1000 // octets of a whole name
	MaxLevels = 100  // levels between separators
)

// Inbox is the one mailbox that every account has.
const Inbox = "INBOX"

// CleanName returns the one form under which stores know a mailbox name:
// Unicode normalization form C, with INBOX as the first level in capitals.
// ErrBadName when no mailbox can have that name: it is empty or too long, is
// not UTF-8, has an empty level or one that is "." or "..", or holds a control
// character, a line separator or one of LIST's wildcards '*' and '%'.
func CleanName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", badName("not UTF-8")
	}
	if len(name) > 2*MaxName { // the form C of a text can be shorter than the text
		return "", badName("too long")
	}
	name = norm.NFC.String(name)
	if len(name) > MaxName {
		return "", badName("too long")
	}
	if i := strings.IndexFunc(name, isForbidden); i >= 0 {
		return "", badName(fmt.Sprintf("character at %d", i))
	}
	levels := 0
	for level := range strings.SplitSeq(name, Separator) {
		if level == "" || level == "." || level == ".." {
			return "", badName("a level is empty or made of dots")
		}
		levels++
	}
	if levels > MaxLevels {
		return "", badName("too many levels")
	}
	first, rest, below := strings.Cut(name, Separator)
	switch {
	case !strings.EqualFold(first, Inbox):
		return name, nil
	case below:
		return Inbox + Separator + rest, nil
	}
	return Inbox, nil
}

// Levels yields the names of the mailboxes on the way down to a clean name, the
// name itself last: "a", "a/b" and "a/b/c" for "a/b/c". It yields nothing for
// the empty name.
func Levels(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(name) {
			if name[i] == Separator[0] && !yield(name[:i]) {
				return
			}
		}
		if name != "" {
			yield(name)
		}
	}
}

// isForbidden reports characters that RFC 9051 §5.1 keeps out of names, and
// the wildcards.
func isForbidden(c rune) bool {
	return c < ' ' || 0x7f <= c && c <= 0x9f || c == 0x2028 || c == 0x2029 || c == '*' || c == '%'
}

func badName(why string) error { return fmt.Errorf("%w: %s", ErrBadName, why) }
