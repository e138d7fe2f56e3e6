// Package httpmap speaks the protocol in which nginx's mail proxy asks an HTTP
// server whether somebody may log in and where he lives
// (ngx_mail_auth_http_module), in both directions: a Client asks such a server,
// as a Mapper and as an Authenticator; a Handler is such a server, over any
// Mapper and Authenticator.
//
// A question is a GET whose header fields carry it, an answer is header fields
// too. Passwords travel in them: use TLS, or a network of one's own.
//
// Invariants of this package:
//
//   - A server that can't be asked, that says neither yes nor no, or that says
//     "later", is ErrUnavailable; never a wrong password, and never "not mapped".
//   - Passwords and keys are in no error and no log.
//   - What stands in a header field was escaped or checked: nobody adds fields.
//   - Nobody may ask a Handler unless it was told who may.
package httpmap

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Names of the header fields, as nginx writes them.
const (
	fieldMethod   = "Auth-Method"
	fieldUser     = "Auth-User"
	fieldPass     = "Auth-Pass"
	fieldProtocol = "Auth-Protocol"
	fieldAttempt  = "Auth-Login-Attempt"
	fieldClientIP = "Client-IP"
	fieldSSL      = "Auth-SSL"
	fieldSMTPTo   = "Auth-SMTP-To"
	fieldKey      = "X-Auth-Key"

	fieldStatus = "Auth-Status"
	fieldServer = "Auth-Server"
	fieldPort   = "Auth-Port"
	fieldWait   = "Auth-Wait"
	fieldCode   = "Auth-Error-Code"
)

// The methods that are spoken.
const (
	methodPlain = "plain" // a user and a password, by whatever mechanism they came
	methodNone  = "none"  // no password: where does mail for somebody go?
)

// Bounds, in octets.
const (
	maxHeader   = 32 << 10 // of a question or an answer
	maxName     = 1024     // of somebody who shall be acted for
	maxPassword = 1024
	maxStatus   = 100 // of a server's text that is shown in errors
)

// escape writes a text as nginx does: space, percent sign and control
// characters as "%20".
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '%' || c == 0x7f {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

var errField = errors.New("malformed field")

// single returns the value of a field that may be there once.
func single(h http.Header, name string) (string, error) {
	values := h.Values(name)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", fmt.Errorf("%w: several %s", errField, name)
}

// unescaped is single for a field that is escaped.
func unescaped(h http.Header, name string) (string, error) {
	value, err := single(h, name)
	if err != nil {
		return "", err
	}
	if value, err = url.PathUnescape(value); err != nil {
		return "", fmt.Errorf("%w: %s", errField, name) // the reason would show a part of it
	}
	return value, nil
}
