package httpmap

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/mapping"
)

// question is what somebody asks a Handler.
type question struct {
	method   string
	protocol string // "imap", "pop3" or "smtp"
	user     string // or the recipient
	password string
	attempt  int
	client   netip.Addr // not valid: not said
	secure   bool
}

// readQuestion reads a question. Of a recipient that is no address the user
// is empty.
func readQuestion(r *http.Request) (*question, error) {
	if r.Method != http.MethodGet {
		return nil, fmt.Errorf("%w: method %.20q", errField, r.Method)
	}
	q := new(question)
	var attempt, client, ssl, to string
	for _, f := range []struct {
		name  string
		read  func(http.Header, string) (string, error)
		value *string
	}{
		{fieldMethod, single, &q.method}, {fieldProtocol, single, &q.protocol}, {fieldUser, unescaped, &q.user}, {fieldPass, unescaped, &q.password},
		{fieldAttempt, single, &attempt}, {fieldClientIP, single, &client}, {fieldSSL, single, &ssl}, {fieldSMTPTo, single, &to},
	} {
		var err error
		if *f.value, err = f.read(r.Header, f.name); err != nil {
			return nil, err
		}
	}
	switch {
	case q.protocol != "imap" && q.protocol != "pop3" && q.protocol != "smtp":
		return nil, fmt.Errorf("%w: %s %.20q", errField, fieldProtocol, q.protocol)
	case q.method == "":
		return nil, fmt.Errorf("%w: no %s", errField, fieldMethod)
	case q.method == methodNone && to != "":
		q.user = recipient(to)
	}
	q.attempt, _ = strconv.Atoi(attempt)
	q.client, _ = netip.ParseAddr(client)
	q.secure = ssl == "on"
	return q, nil
}

// recipient returns the address of a command "RCPT TO:<address> …", as a
// client of nginx wrote it; empty when there is none. A source route is
// dropped (RFC 5321 appendix C).
func recipient(command string) string {
	_, path, _ := strings.Cut(command, ":")
	path, ok := strings.CutPrefix(strings.TrimLeft(path, " "), "<")
	end := pathEnd(path)
	if !ok || end < 0 {
		return ""
	}
	path = path[:end]
	if strings.HasPrefix(path, "@") {
		_, path, _ = strings.Cut(path, ":")
	}
	a, err := mail.ParseAddress(path)
	if err != nil {
		return ""
	}
	return a.String()
}

// pathEnd returns where the > is that is not in quotes.
func pathEnd(path string) int {
	quoted := false
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '"':
			quoted = !quoted
		case path[i] == '\\' && quoted:
			i++
		case path[i] == '>' && !quoted:
			return i
		}
	}
	return -1
}

func (q *question) credentials() auth.Credentials {
	service := q.protocol
	if service == "smtp" {
		service = "submission" // nobody logs in to deliver mail
	}
	return auth.Credentials{Service: service, Remote: q.client.Unmap(), Secure: q.secure, Mechanism: "PLAIN", User: q.user, Password: q.password}
}

// errMethod is why a question is refused.
var errMethod = errors.New("this way to log in is not supported")

// refusal is what an error says to a client.
type refusal struct{ imap, pop3, code, text string }

var (
	refusedLogin  = refusal{"[AUTHENTICATIONFAILED] ", "[AUTH] ", "535 5.7.8", "Authentication failed"}
	refusedMethod = refusal{"", "[AUTH] ", "504 5.5.4", "This way to log in is not supported"}
	refusedUser   = refusal{"[NONEXISTENT] ", "", "550 5.1.1", "No such user here"}
	refusedPlain  = refusal{"[PRIVACYREQUIRED] ", "[AUTH] ", "538 5.7.11", "A secure connection is required"}
	refusedMany   = refusal{"[LIMIT] ", "[SYS/TEMP] ", "454 4.7.0", "Too many failed attempts, please try again later"}
	refusedNow    = refusal{"[UNAVAILABLE] ", "[SYS/TEMP] ", "454 4.7.0", "Temporary failure, please try again later"}
	deferredUser  = refusal{"[UNAVAILABLE] ", "[SYS/TEMP] ", "451 4.3.0", "Temporary failure, please try again later"}
)

// refusal returns the fields of a no. nginx puts the text behind "NO " or
// "-ERR ", or behind the code.
func (q *question) refusal(err error) map[string]string {
	r := q.refusalFor(err)
	fields := map[string]string{fieldStatus: r.text, fieldCode: r.code}
	switch q.protocol {
	case "imap":
		fields[fieldStatus] = r.imap + r.text
	case "pop3":
		fields[fieldStatus] = r.pop3 + r.text
	}
	// Without a time to wait nginx ends the session.
	switch {
	case q.method == methodPlain && q.attempt >= maxAttempts:
	case r == refusedLogin:
		fields[fieldWait] = "3" // seconds: who guesses has to wait
	default:
		fields[fieldWait] = "1"
	}
	return fields
}

// maxAttempts is how many attempts a session has: nginx frees what an attempt
// took only when the session ends.
const maxAttempts = 10

func (q *question) refusalFor(err error) refusal {
	down := errors.Is(err, mapping.ErrUnavailable) || errors.Is(err, auth.ErrUnavailable)
	unknown := errors.Is(err, mapping.ErrNotMapped) && !down
	switch {
	case errors.Is(err, errMethod):
		return refusedMethod
	case unknown && q.method == methodNone:
		return refusedUser
	case q.method == methodNone:
		return deferredUser
	case down:
		return refusedNow
	case unknown, wrong(err):
		return refusedLogin
	case errors.Is(err, auth.ErrNeedsTLS):
		return refusedPlain
	case errors.Is(err, auth.ErrTooMany):
		return refusedMany
	}
	return refusedNow
}

// wrong reports whether the credentials are.
func wrong(err error) bool {
	return errors.Is(err, auth.ErrBadCredentials) || errors.Is(err, auth.ErrDisabled)
}
