package proxy

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mapping"
)

// ErrUnfit is a back end, or the configuration of one, that nobody can log in
// at with what the client has shown. The back end is not down.
var ErrUnfit = errors.New("back end can't be used as it is")

// Words are what a back end is logged in to with.
type Words struct {
	Mechanism string // PLAIN, OAUTHBEARER or XOAUTH2
	User      string // whose mail it is
	As        string // whose password it is, if it is not the user's
	Secret    string `json:"-"` // the password, or the token
	Master    bool   // the password is none that a client has shown
}

// String keeps secrets out of logs.
func (w Words) String() string { return w.Mechanism + " for " + w.User }

// GoString is String, for the verb %#v.
func (w Words) GoString() string { return w.String() }

// Response returns the initial response of the SASL mechanism (RFC 4616, RFC
// 7628).
func (w Words) Response() []byte {
	switch w.Mechanism {
	case "OAUTHBEARER":
		name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(w.User) // RFC 5801 §4
		return []byte("n,a=" + name + ",\x01auth=Bearer " + w.Secret + "\x01\x01")
	case "XOAUTH2":
		return []byte("user=" + w.User + "\x01auth=Bearer " + w.Secret + "\x01\x01")
	}
	if w.As == "" {
		return []byte("\x00" + w.User + "\x00" + w.Secret)
	}
	return []byte(w.User + "\x00" + w.As + "\x00" + w.Secret)
}

// Resign returns what is said, in base64, to a challenge after the response:
// it tells that a token was refused, and is answered with the failure. "*"
// where nothing is defined.
func (w Words) Resign() string {
	switch w.Mechanism {
	case "OAUTHBEARER":
		return "AQ==" // RFC 7628 §3.2.3
	case "XOAUTH2":
		return ""
	}
	return "*"
}

// Plain reports whether the words are a user's name and his password, which a
// protocol's own command may say in a line.
func (w Words) Plain() bool {
	return w.Mechanism == "PLAIN" && w.As == "" && !strings.ContainsAny(w.User+w.Secret, "\r\n\x00")
}

// words returns what the back end of a link is shown.
func (l *Link) words(c auth.Credentials, as string, checked bool) (Words, error) {
	w := Words{Mechanism: "PLAIN", User: l.User(), As: as, Secret: c.Password}
	b := &l.backend
	token, isToken := c.Proof.(auth.Token)
	switch {
	case b.MasterUser != "" && !checked:
		return w, fmt.Errorf("%w: master credentials are for users whom this front end has checked", ErrUnfit)
	case b.MasterUser != "":
		w.As, w.Secret, w.Master = b.MasterUser, b.MasterPassword, true
	case isToken && as == "":
		w.Mechanism, w.Secret = strings.ToUpper(c.Mechanism), string(token)
	case c.Proof != nil || c.Password == "":
		return w, fmt.Errorf("%w: it has no master user, and %s shows nothing that can be shown to it", ErrUnfit, c.Mechanism)
	}
	if strings.ContainsAny(w.User+w.As, "\x00\x01\r\n") {
		return w, fmt.Errorf("%w: a name holds what no name can", ErrUnfit)
	}
	return w, nil
}

// XCLIENT returns what follows that word in POP3 and ManageSieve, as Dovecot
// understands it, of the attributes that the back end has announced, all where
// it has named none: ADDR and PORT of the client, SESSION, TTL. LOGIN is never
// among them. It is empty when there is nothing to say.
func (l *Link) XCLIENT(announced []string) string {
	var said []string
	say := func(attribute, value string) {
		if len(announced) == 0 || slices.Contains(announced, attribute) {
			said = append(said, attribute+"="+value)
		}
	}
	if remote := l.client.Remote; remote.IsValid() {
		say("ADDR", remote.Addr().Unmap().WithZone("").String())
		say("PORT", strconv.Itoa(int(remote.Port())))
	}
	if l.client.Session != "" {
		say("SESSION", l.client.Session)
	}
	say("TTL", strconv.Itoa(l.Hops()))
	return strings.Join(said, " ")
}

// Refusal is the answer of a back end that does not let a user in.
type Refusal struct {
	Kind error  // of package auth
	Code string // the response code that the client is to hear, without brackets; empty: none
	Text string // what a person may read: one line, printable, at most 300 octets

	said string // for the log
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%v: back end says [%s] %s", r.Kind, r.Code, cmp.Or(r.said, r.Text))
}

// Unwrap makes it an error of its kind.
func (r *Refusal) Unwrap() error { return r.Kind }

// Referral is the answer of a back end that sends the user to another.
type Referral struct{ To mapping.Route }

func (r *Referral) Error() string { return "back end refers to " + r.To.String() }

// Refused makes a Refusal of what a back end says. Where the password is none
// of a client's, a refusal of it is not his fault: ErrUnavailable, and the text
// is for the log alone. A text that repeats the secret is dropped.
func (w Words) Refused(kind error, code, text string) *Refusal {
	if strings.Contains(text, w.Secret) || strings.Contains(text, base64.StdEncoding.EncodeToString(w.Response())) {
		text = ""
	}
	r := &Refusal{Kind: kind, Code: OneLine(code), Text: OneLine(text)}
	if w.Master && errors.Is(kind, auth.ErrBadCredentials) {
		r.Kind, r.Text, r.said = auth.ErrUnavailable, "", r.Text
	}
	return r
}

// maxTold bounds what is told of a back end's words, in octets.
const maxTold = 300

// OneLine makes what a back end says fit to be told: control characters and
// what is not UTF-8 become spaces, and what is beyond 300 octets is cut off.
func OneLine(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxTold)], " ")
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, text))
}
