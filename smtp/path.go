package smtp

import (
	"strings"

	"github.com/posthouse-mail/posthouse/mail"
)

// cutKeyword takes "FROM:" or "TO:" in any letter case off the front of s,
// and spaces after it: RFC 5321 §3.3 forbids those, but clients send them.
func cutKeyword(s, keyword string) (rest string, ok bool) {
	if len(s) < len(keyword) || !strings.EqualFold(s[:len(keyword)], keyword) {
		return "", false
	}
	return strings.TrimLeft(s[len(keyword):], " "), true
}

// cutPath takes a path in angle brackets off the front of s (RFC 5321
// §4.1.2). A source route in it is dropped, as RFC 5321 §3.3 and appendix C
// say; what remains is the mailbox as it was written.
func cutPath(s string) (mailbox, params string, ok bool) {
	if s == "" || s[0] != '<' {
		return "", "", false
	}
	s, ok = cutRoute(s[1:])
	if !ok {
		return "", "", false
	}
	end := pathEnd(s)
	if end < 0 {
		return "", "", false
	}
	mailbox, params = s[:end], s[end+1:]
	if params != "" && params[0] != ' ' {
		return "", "", false
	}
	return mailbox, params, true
}

// cutRoute takes "@one,@two:" off the front of s, if it is there.
func cutRoute(s string) (rest string, ok bool) {
	if s == "" || s[0] != '@' {
		return s, true
	}
	route, rest, ok := strings.Cut(s, ":")
	if !ok {
		return "", false
	}
	for hop := range strings.SplitSeq(route, ",") {
		domain, ok := strings.CutPrefix(hop, "@")
		if !ok || !isHostText(domain) {
			return "", false
		}
	}
	return rest, true
}

func isHostText(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x80 && c != '.' && c != '-' && c != '_' && !isAlnum(c) {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// pathEnd finds the bracket that ends a path: the first one that is not
// inside of a quoted local part.
func pathEnd(s string) int {
	i := 0
	if s != "" && s[0] == '"' {
		for i = 1; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' {
				i++
			}
		}
	}
	if i >= len(s) {
		return -1
	}
	end := strings.IndexByte(s[i:], '>')
	if end < 0 {
		return -1
	}
	return i + end
}

// parseSender reads a reverse-path: a mailbox with a domain, or nothing.
func parseSender(mailbox string) (mail.Address, bool) {
	if mailbox == "" {
		return mail.Address{}, true
	}
	a, err := mail.ParseAddress(mailbox)
	return a, err == nil && a.Domain() != ""
}

// parseRecipient reads a forward-path: a mailbox, or postmaster alone.
func parseRecipient(mailbox string) (mail.Address, bool) {
	a, err := mail.ParseAddress(mailbox)
	return a, err == nil
}

// isASCII reports whether s can travel without SMTPUTF8.
func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
