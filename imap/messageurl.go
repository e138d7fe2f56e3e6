package imap

import (
	"errors"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// Bounds of a URL, and what stands for the rest in its partial.
const (
	maxURL   = 8 << 10 // octets
	toTheEnd = math.MaxInt64
)

var errURL = errors.New("no URL of a message")

// messageURL is an IMAP URL of a message or of a piece of one (RFC 5092 §5):
//
//	[imap://[user[;AUTH=x]@]host[:port]]/mailbox[;UIDVALIDITY=n]/;UID=n[/;SECTION=s][/;PARTIAL=o[.n]]
//	;UID=n[/;SECTION=s][/;PARTIAL=o[.n]]
//
// of which the second form is about the selected mailbox.
type messageURL struct {
	host, user string // empty: those of the session
	mailbox    string // in the store's form; empty: the selected one
	validity   uint32 // 0: any
	uid        imap.UID
	section    *imap.FetchItemBodySection
}

// parseMessageURL reads a URL. What names mailboxes, searches or needs an
// authorization (RFC 4467) is no URL of a message.
func parseMessageURL(text string) (u messageURL, err error) {
	if len(text) > maxURL {
		return u, errURL
	}
	rest, absolute := text, false
	if after, ok := cutPrefixFold(text, "imap://"); ok {
		server, path, _ := strings.Cut(after, "/")
		if err := u.parseServer(server); err != nil {
			return u, err
		}
		rest, absolute = "/"+path, true
	}
	head, params, _ := strings.Cut(rest, ";")
	name, onPath := strings.CutPrefix(head, "/")
	switch {
	case !onPath && (absolute || head != ""):
		return u, errURL
	case onPath:
		if params, err = u.parseMailbox(name, params); err != nil {
			return u, err
		}
	}
	return u, u.parseParams(params)
}

// parseServer reads "[user[;AUTH=x]@]host[:port]".
func (u *messageURL) parseServer(text string) (err error) {
	if u.user, u.host, err = cutUser(text); err != nil {
		return err
	}
	if host, _, err := net.SplitHostPort(u.host); err == nil {
		u.host = host
	}
	if u.host == "" {
		return errURL
	}
	return nil
}

// cutUser cuts "[user[;AUTH=x]@]" off a server's name.
func cutUser(text string) (user, host string, err error) {
	i := strings.LastIndexByte(text, '@')
	if i < 0 {
		return "", text, nil
	}
	user, _, _ = strings.Cut(text[:i], ";")
	if user, err = url.PathUnescape(user); err != nil {
		return "", "", errURL
	}
	return user, text[i+1:], nil
}

// parseMailbox reads a mailbox's name and its UIDVALIDITY, and returns what
// follows the slash and the semicolon behind them.
func (u *messageURL) parseMailbox(name, params string) (rest string, err error) {
	rest = params
	if value, ok := cutPrefixFold(params, "UIDVALIDITY="); ok {
		value, after, more := strings.Cut(value, "/;")
		if u.validity, err = nzNumber(value); err != nil || !more {
			return "", errURL
		}
		rest = after
	} else if name, ok = strings.CutSuffix(name, "/"); !ok {
		return "", errURL
	}
	if name, err = url.PathUnescape(name); err != nil {
		return "", errURL
	}
	if u.mailbox, err = storage.CleanName(name); err != nil || u.mailbox == "" {
		return "", errURL
	}
	return rest, nil
}

// parseParams reads "UID=n[/;SECTION=s][/;PARTIAL=o[.n]]".
func (u *messageURL) parseParams(text string) error {
	uid, ok := cutPrefixFold(text, "UID=")
	if !ok {
		return errURL
	}
	uid, rest, more := strings.Cut(uid, "/;")
	n, err := nzNumber(uid)
	if err != nil {
		return err
	}
	u.uid, u.section = imap.UID(n), &imap.FetchItemBodySection{}
	if section, ok := cutPrefixFold(rest, "SECTION="); more && ok {
		section, rest, more = strings.Cut(section, "/;")
		if err := u.parseSection(section); err != nil {
			return err
		}
	}
	if partial, ok := cutPrefixFold(rest, "PARTIAL="); more && ok {
		return u.parsePartial(partial)
	}
	if more {
		return errURL
	}
	return nil
}

func (u *messageURL) parseSection(text string) (err error) {
	text, err = url.PathUnescape(text)
	if err != nil || text == "" || strings.ContainsAny(text, "\r\n\x00") {
		return errURL
	}
	p := &parser{buf: []byte("[" + text + "]")}
	u.section = p.bodySection()
	if p.end() != nil || u.section.Partial != nil {
		return errURL
	}
	return nil
}

func (u *messageURL) parsePartial(text string) error {
	p := &parser{buf: []byte(text)}
	partial := &imap.SectionPartial{Offset: p.number64(), Size: toTheEnd}
	if p.accept('.') {
		partial.Size = p.number64()
	}
	if p.end() != nil || partial.Size == 0 {
		return errURL
	}
	u.section.Partial = partial
	return nil
}

// isHere reports whether a URL is about the account of the session.
func (u *messageURL) isHere(s *session) bool {
	return u.host == "" || strings.EqualFold(u.host, s.server.Hostname) && (u.user == "" || u.user == s.user)
}

func nzNumber(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 || text[0] == '+' {
		return 0, errURL
	}
	return uint32(n), nil
}

func cutPrefixFold(s, prefix string) (after string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
