package transfer

import (
	"net/url"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// forwarded is the keyword that Maildir writes as the flag P.
const forwarded imap.Flag = "$Forwarded"

// isPlain reports whether a keyword can stand among others in a line of text.
func isPlain(k imap.Flag) bool {
	for i := 0; i < len(k); i++ {
		if k[i] <= ' ' || k[i] >= 0x7f {
			return false
		}
	}
	return k != ""
}

// joinWords writes any keywords as a line of text.
func joinWords(keywords []imap.Flag) string {
	words := make([]string, len(keywords))
	for i, k := range keywords {
		words[i] = url.QueryEscape(string(k))
	}
	return strings.Join(words, ",")
}

// splitWords reads what joinWords wrote.
func splitWords(s string) []imap.Flag {
	var keywords []imap.Flag
	for _, word := range strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == '\n' }) {
		if k, err := url.QueryUnescape(word); err == nil {
			keywords = append(keywords, imap.Flag(k))
		}
	}
	return keywords
}

// allowed returns flags with those keywords that stores keep, and how many
// are left out.
func allowed(f storage.Flags) (kept storage.Flags, dropped int) {
	all := len(f.Keywords)
	f.Keywords = slices.DeleteFunc(slices.Clone(f.Keywords), func(k imap.Flag) bool { return len(k) > storage.MaxKeyword })
	f.Keywords = slices.Clip(f.Keywords[:min(len(f.Keywords), storage.MaxKeywords)])
	if len(f.Keywords) == 0 {
		f.Keywords = nil
	}
	return f, all - len(f.Keywords)
}
