package imap

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/proxy"
)

// logIn logs in, and returns what the client is to be told of it.
func (b *backend) logIn(w proxy.Words) (*arrival, error) {
	command, answers, err := b.loginCommand(w)
	if err != nil {
		return nil, err
	}
	b.caps = nil // they change with the login
	r, err := b.command(command, answers...)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	to, refers := referralIn(r.code)
	switch {
	case r.kind == "NO" && refers:
		return nil, &proxy.Referral{To: to}
	case r.kind != "OK":
		return nil, refused(r, w)
	}
	at := &arrival{code: r.code, text: r.text[:min(len(r.text), maxQuotedWords)]}
	if _, told := cutPrefixFold(r.code, "CAPABILITY "); told {
		return at, nil
	}
	if refers || strings.EqualFold(r.code, "REFERRAL") {
		at.code = "" // where else the mail is, is nothing for a client of this front end
	}
	if err := b.needCapabilities(); err != nil {
		return nil, err
	}
	at.caps = strings.Join(b.caps, " ")
	return at, nil
}

// loginCommand returns AUTHENTICATE (RFC 9051 §6.2.2), or else LOGIN, and what
// the back end will ask for.
func (b *backend) loginCommand(w proxy.Words) (command string, answers []string, err error) {
	encoded := base64.StdEncoding.EncodeToString(w.Response())
	switch {
	case b.has("AUTH=" + w.Mechanism):
		if w.Mechanism != "PLAIN" {
			answers = []string{w.Resign()} // to a failure that is told in a challenge
		}
		if b.has("SASL-IR") {
			return "AUTHENTICATE " + w.Mechanism + " " + encoded, answers, nil
		}
		return "AUTHENTICATE " + w.Mechanism, append([]string{encoded}, answers...), nil
	case w.Mechanism != "PLAIN" || w.As != "":
		return "", nil, fmt.Errorf("%w: it offers no %s", proxy.ErrUnfit, w.Mechanism)
	case b.has("LOGINDISABLED"):
		return "", nil, fmt.Errorf("%w: it takes no password on this connection", proxy.ErrUnfit)
	}
	pieces := b.pieces("LOGIN", w.User, w.Secret)
	return pieces[0], pieces[1:], nil
}

// pieces writes a command with strings, cut where the back end must agree to
// what follows.
func (b *backend) pieces(command string, words ...string) (pieces []string) {
	line := &output{}
	line.text(command)
	for _, word := range words {
		line.byte(' ')
		if line.formOf(word) != asLiteral {
			line.string(word)
			continue
		}
		line.byte('{')
		line.size(int64(len(word)))
		if b.has("LITERAL+") {
			line.text("+}\r\n")
		} else {
			line.byte('}')
			pieces = append(pieces, string(line.b))
			line.b = nil
		}
		line.text(word)
	}
	return append(pieces, string(line.b))
}

// refused says what kind of refusal it is.
func refused(r backendReply, w proxy.Words) error {
	kind := auth.ErrUnavailable
	word, _, _ := strings.Cut(r.code, " ")
	switch imap.ResponseCode(strings.ToUpper(word)) {
	case "", imap.ResponseCodeAuthenticationFailed, imap.ResponseCodeAuthorizationFailed, imap.ResponseCodeExpired, imap.ResponseCodeAlert:
		if r.kind == "NO" {
			kind = auth.ErrBadCredentials
		}
	case imap.ResponseCodeLimit:
		kind = auth.ErrTooMany
	}
	return w.Refused(kind, r.code, r.text)
}
