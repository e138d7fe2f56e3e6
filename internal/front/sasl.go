package front

import (
	"bytes"
	"encoding/base64"
	"errors"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/internal/wire"
)

// Errors of RunSASL besides those of package auth and of the connection.
var (
	ErrCancelled = errors.New("client cancelled the exchange")
	ErrBadBase64 = errors.New("not base64")
)

// MaxSASLLine bounds a client's line in an exchange, with its line ending.
const MaxSASLLine = 24 << 10

// RunSASL carries an exchange over the line form that SMTP (RFC 4954), IMAP
// (RFC 9051 §6.2.2) and POP3 (RFC 5034) share: challenges as base64 after
// prefix ("334 " or "+ "), responses as base64 lines, "*" to cancel. initial
// is the client's initial response as it stood on the command line, nil when
// it sent none; "=" is an empty one.
func RunSASL(c *wire.Conn, prefix string, e *auth.Exchange, initial []byte) (auth.Identity, error) {
	return RunSASLBy(e, initial, func(challenge []byte) ([]byte, error) { return askClient(c, prefix, challenge) })
}

// RunSASLBy is RunSASL for another line form: ask says a challenge and returns
// the client's response, which DecodeSASL has read.
func RunSASLBy(e *auth.Exchange, initial []byte, ask func(challenge []byte) ([]byte, error)) (auth.Identity, error) {
	var response []byte
	if initial != nil {
		var err error
		if response, err = decodeResponse(initial); err != nil {
			return auth.Identity{}, err
		}
	}
	for {
		challenge, done, err := e.Next(response)
		if err != nil {
			return auth.Identity{}, err
		}
		if done {
			return e.Identity(), nil
		}
		if response, err = ask(challenge); err == nil {
			continue
		}
		if refused := e.Refused(); refused != nil && (errors.Is(err, ErrCancelled) || errors.Is(err, ErrBadBase64)) {
			return auth.Identity{}, refused // a failure that was shown already counts as one
		}
		return auth.Identity{}, err
	}
}

// OfAuthenticator reports whether an error of RunSASL is of who checks, not of
// the client's connection: what is wrapped in it may look like that, being of
// the connection to a directory or to a back end.
func OfAuthenticator(err error) bool {
	for _, of := range []error{auth.ErrBadCredentials, auth.ErrUnavailable, auth.ErrDisabled, auth.ErrNeedsTLS, auth.ErrTooMany} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

func askClient(c *wire.Conn, prefix string, challenge []byte) ([]byte, error) {
	line := base64.StdEncoding.AppendEncode([]byte(prefix), challenge)
	if _, err := c.Write(append(line, "\r\n"...)); err != nil {
		return nil, err
	}
	answer, err := c.ReadLine(MaxSASLLine)
	if err != nil {
		return nil, err
	}
	return DecodeSASL(bytes.TrimRight(answer, "\r\n"))
}

// DecodeSASL reads a response that is not the initial one: base64, or "*".
func DecodeSASL(text []byte) ([]byte, error) {
	if string(text) == "*" {
		return nil, ErrCancelled
	}
	return decodeBase64(text)
}

func decodeResponse(initial []byte) ([]byte, error) {
	if string(initial) == "=" {
		return []byte{}, nil
	}
	return DecodeSASL(initial)
}

func decodeBase64(text []byte) ([]byte, error) {
	response := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(response, text)
	if err != nil {
		return nil, ErrBadBase64
	}
	return response[:n], nil
}
