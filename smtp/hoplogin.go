package smtp

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/proxy"
)

// shown is what a client has shown.
type shown struct {
	creds   auth.Credentials
	as      string // whose they are, if it is somebody who acts for the user
	checked bool   // they were found to be good
}

// loginWords are what a back end is logged in to with.
type loginWords struct {
	user      string // who is to send mail
	as        string // whose password it is; empty: the user's
	password  string
	token     auth.Token // empty: the password
	mechanism string     // that carries the token
	master    bool       // the password is none of a client
}

// words returns what the back end of a link is shown.
func (s shown) words(link *proxy.Link) (loginWords, error) {
	w := loginWords{user: link.User(), as: s.as, password: s.creds.Password}
	b := link.Backend()
	token, isToken := s.creds.Proof.(auth.Token)
	switch {
	case b.MasterUser != "" && !s.checked:
		return w, fmt.Errorf("%w: master credentials are for users whom Proxy.Auth has checked", errUnfit)
	case b.MasterUser != "":
		w.as, w.password, w.master = b.MasterUser, b.MasterPassword, true
	case isToken && s.as == "":
		w.token, w.mechanism = token, s.creds.Mechanism
	case s.creds.Proof != nil || s.creds.Password == "":
		return w, fmt.Errorf("%w: it has no master user, and %s shows nothing that can be shown to it", errUnfit, s.creds.Mechanism)
	}
	return w, nil
}

// sasl returns the exchanges that would do, the best first. The first response
// can stand in the AUTH command.
func (w *loginWords) sasl() []saslScript {
	switch {
	case w.token != "" && strings.EqualFold(w.mechanism, "XOAUTH2"):
		return []saslScript{{"XOAUTH2", []string{"user=" + w.user + "\x01auth=Bearer " + string(w.token) + "\x01\x01", ""}}}
	case w.token != "":
		name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(w.user) // RFC 5801 §4
		return []saslScript{{"OAUTHBEARER", []string{"n,a=" + name + ",\x01auth=Bearer " + string(w.token) + "\x01\x01", "\x01"}}}
	case w.as != "":
		return []saslScript{{"PLAIN", []string{w.user + "\x00" + w.as + "\x00" + w.password}}}
	}
	return []saslScript{
		{"PLAIN", []string{"\x00" + w.user + "\x00" + w.password}},
		{"LOGIN", []string{w.user, w.password}},
	}
}

// saslScript is a mechanism and all that the client says in it.
type saslScript struct {
	mechanism string
	responses []string
}

// logIn logs in (RFC 4954). A refusal is an error of a kind of package auth;
// EHLO must have been said, and need not be said again.
func (h *hop) logIn(w loginWords) error {
	offered := " " + strings.ToUpper(h.extensions["AUTH"]) + " "
	for _, script := range w.sasl() {
		if strings.Contains(offered, " "+script.mechanism+" ") {
			return h.play(script, w)
		}
	}
	return fmt.Errorf("%w: it does not offer AUTH %s", errUnfit, w.sasl()[0].mechanism)
}

// play says AUTH and its responses.
func (h *hop) play(script saslScript, w loginWords) error {
	line, rest := "AUTH "+script.mechanism, script.responses
	if script.mechanism != "LOGIN" {
		if first := " " + base64.StdEncoding.EncodeToString([]byte(rest[0])); len(line)+len(first) <= maxXclient-2 {
			line, rest = line+first, rest[1:]
		}
	}
	r, err := h.command(line)
	for err == nil && r.code == 334 {
		answer := "*"
		if len(rest) > 0 {
			answer, rest = base64.StdEncoding.EncodeToString([]byte(rest[0])), rest[1:]
		}
		r, err = h.command(answer)
		if answer == "*" {
			break
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("AUTH: %w", err)
	case r.code == 235:
		return nil
	case r.code == 535 && !w.master:
		return fmt.Errorf("%w: %w", auth.ErrBadCredentials, r)
	case r.code == 421 || r.code/100 == 2:
		return r
	}
	return fmt.Errorf("%w: AUTH: %w", errUnfit, r)
}
