package httpmap

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/mapping"
)

// answer is a yes or a no.
type answer struct {
	yes          bool
	status       string // of a no
	user         string // in normal form; empty: as asked
	server, port string
}

var errLater = errors.New("the server says: later")

// readAnswer returns what a server says. Whatever is no clear answer is an
// error.
func readAnswer(r *http.Response) (*answer, error) {
	if r.StatusCode >= 500 {
		return nil, fmt.Errorf("the server answers %d", r.StatusCode)
	}
	var a answer
	var code, user string
	for _, f := range []struct {
		name  string
		value *string
	}{{fieldStatus, &a.status}, {fieldCode, &code}, {fieldServer, &a.server}, {fieldPort, &a.port}, {fieldUser, &user}} {
		var err error
		if *f.value, err = single(r.Header, f.name); err != nil {
			return nil, err
		}
	}
	switch {
	case a.status == "":
		return nil, fmt.Errorf("the server answers %d without %s", r.StatusCode, fieldStatus)
	case a.status == "OK":
		a.yes = true
	case a.status == "WAIT" || isLater(a.status, code):
		return nil, fmt.Errorf("%w: %.*q", errLater, maxStatus, a.status)
	}
	a.status = fmt.Sprintf("%.*s", maxStatus, a.status)
	if user != "" {
		var ok bool
		if a.user, ok = mapping.NormalName(user); !ok {
			return nil, fmt.Errorf("%w: %s", errField, fieldUser)
		}
	}
	return &a, nil
}

// isLater knows a temporary no, by its SMTP code, or by a response code of
// IMAP (RFC 9051 §7.1, RFC 5530) or POP3 (RFC 2449 §8.1, RFC 3206).
func isLater(status, code string) bool {
	if strings.HasPrefix(code, "4") {
		return true
	}
	bracketed, ok := strings.CutPrefix(status, "[")
	word, _, closed := strings.Cut(bracketed, "]")
	if !ok || !closed {
		return false
	}
	switch strings.ToUpper(word) {
	case "UNAVAILABLE", "SERVERBUG", "INUSE", "LIMIT", "SYS/TEMP", "IN-USE", "LOGIN-DELAY":
		return true
	}
	return false
}

// route reads where a yes leads. asked is the name of the question.
func (a *answer) route(asked string) (mapping.Route, error) {
	r := mapping.Route{Host: a.server}
	if a.user != asked {
		r.User = a.user
	}
	if a.port != "" {
		port, err := strconv.ParseUint(a.port, 10, 16)
		if err != nil || port == 0 {
			return r, fmt.Errorf("%w: port %.20q", mapping.ErrBadRoute, a.port)
		}
		r.Port = int(port)
	}
	return r, r.Check()
}
