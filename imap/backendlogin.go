package imap

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/proxy"
)

// showing is what a client has shown.
type showing struct {
	creds   auth.Credentials
	as      string // whose they are, if it is somebody who acts for the user
	checked bool   // they were found to be good
}

// loginWords are what a back end is logged in to with.
type loginWords struct {
	user      string // whose mail it is
	as        string // whose password it is; empty: the user's
	password  string
	token     auth.Token // empty: the password
	mechanism string     // that carries the token
	master    bool       // the password is none of a client
}

// words returns what the back end of a link is shown.
func (w showing) words(link *proxy.Link) (loginWords, error) {
	words := loginWords{user: link.User(), as: w.as, password: w.creds.Password}
	b := link.Backend()
	token, isToken := w.creds.Proof.(auth.Token)
	switch {
	case b.MasterUser != "" && !w.checked:
		return words, fmt.Errorf("%w: master credentials are for users whom Proxy.Auth has checked", errUnfit)
	case b.MasterUser != "":
		words.as, words.password, words.master = b.MasterUser, b.MasterPassword, true
	case isToken && w.as == "":
		words.token, words.mechanism = token, w.creds.Mechanism
	case w.creds.Proof != nil || w.creds.Password == "":
		return words, fmt.Errorf("%w: it has no master user, and %s shows nothing that can be shown to it", errUnfit, w.creds.Mechanism)
	}
	return words, nil
}

// sasl returns a mechanism, the response, and what is said once more to a
// failure that is told in a challenge, where the mechanism does that.
func (w *loginWords) sasl() (mechanism, response string, after []string) {
	switch {
	case w.token == "":
		return "PLAIN", w.authzID() + "\x00" + w.authcID() + "\x00" + w.password, nil
	case strings.EqualFold(w.mechanism, "XOAUTH2"):
		return "XOAUTH2", "user=" + w.user + "\x01auth=Bearer " + string(w.token) + "\x01\x01", []string{""}
	}
	name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(w.user)                                        // RFC 5801 §4
	return "OAUTHBEARER", "n,a=" + name + ",\x01auth=Bearer " + string(w.token) + "\x01\x01", []string{"AQ=="} // RFC 7628 §3.2.3
}

func (w *loginWords) authzID() string {
	if w.as == "" {
		return ""
	}
	return w.user
}

func (w *loginWords) authcID() string {
	if w.as == "" {
		return w.user
	}
	return w.as
}

// logIn logs in, and returns what the client is to be told of it.
func (b *backend) logIn(w loginWords) (*arrival, error) {
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
		return nil, &referral{to}
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
func (b *backend) loginCommand(w loginWords) (command string, answers []string, err error) {
	mechanism, response, after := w.sasl()
	encoded := base64.StdEncoding.EncodeToString([]byte(response))
	switch {
	case b.has("AUTH=" + mechanism):
		if b.has("SASL-IR") {
			return "AUTHENTICATE " + mechanism + " " + encoded, after, nil
		}
		return "AUTHENTICATE " + mechanism, append([]string{encoded}, after...), nil
	case mechanism != "PLAIN" || w.as != "":
		return "", nil, fmt.Errorf("%w: it offers no %s", errUnfit, mechanism)
	case b.has("LOGINDISABLED"):
		return "", nil, fmt.Errorf("%w: it takes no password on this connection", errUnfit)
	}
	pieces := b.pieces("LOGIN", w.user, w.password)
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

// refusal is the answer of a back end that lets nobody in. It is of a kind of
// package auth.
type refusal struct {
	kind  error
	reply backendReply
	shown bool // to the client, in the back end's words
}

func (r *refusal) Error() string { return r.kind.Error() + ": " + r.reply.String() }
func (r *refusal) Unwrap() error { return r.kind }

// refused says what kind of refusal it is. That a master user can't act for
// somebody is not the fault of who has logged in.
func refused(r backendReply, w loginWords) error {
	kind := auth.ErrUnavailable
	word, _, _ := strings.Cut(r.code, " ")
	switch imap.ResponseCode(strings.ToUpper(word)) {
	case "", imap.ResponseCodeAuthenticationFailed, imap.ResponseCodeAuthorizationFailed, imap.ResponseCodeExpired, imap.ResponseCodeAlert:
		if r.kind == "NO" && !w.master {
			kind = auth.ErrBadCredentials
		}
	case imap.ResponseCodeLimit:
		kind = auth.ErrTooMany
	}
	return &refusal{kind: kind, reply: r}
}

// answer is what the client sees of a refusal.
func (r *refusal) answer() error {
	return no(imap.ResponseCode(r.reply.code), r.reply.text[:min(len(r.reply.text), maxQuotedWords)])
}
