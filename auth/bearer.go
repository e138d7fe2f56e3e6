package auth

import (
	"encoding/json"
	"errors"
	"strings"
)

// bearer is what OAUTHBEARER and XOAUTH2 share: one response with a token,
// and after a failure a challenge that says so, which the client answers with
// something that means nothing before the exchange fails.
type bearer struct {
	form bearerForm
	told error // the failure that the client was told of
}

// bearerForm is how a mechanism writes.
type bearerForm interface {
	// read returns the user, who may be empty, and the fields.
	read(response string) (user string, fields map[string]string, err error)
	// failure says which token would do better.
	failure(scope, configURL string) any
}

// kvsep ends the parts of a message (RFC 7628 §3.1).
const kvsep = "\x01"

func (m *bearer) Next(e *Exchange, response []byte) (challenge []byte, done bool, err error) {
	switch {
	case m.told != nil:
		return nil, false, m.told
	case response == nil:
		return []byte{}, false, nil
	}
	user, fields, err := m.form.read(string(response))
	if err != nil {
		return nil, false, err
	}
	if user != "" {
		if err := e.SetUser(user); err != nil {
			return nil, false, err
		}
	}
	token, err := bearerToken(fields["auth"])
	if err == nil {
		err = e.CheckProof("", token)
	}
	if !errors.Is(err, ErrBadCredentials) && !errors.Is(err, ErrDisabled) {
		return nil, err == nil, err
	}
	var scope, configURL string
	if h, ok := As[TokenHinter](e.check); ok {
		scope, configURL = h.TokenHint()
	}
	m.told = err
	challenge, jsonErr := json.Marshal(m.form.failure(scope, configURL))
	return challenge, false, jsonErr
}

// bearerToken reads the Authorization field (RFC 6750 §2.1).
func bearerToken(field string) (Token, error) {
	scheme, token, _ := strings.Cut(field, " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsFunc(token, notInToken) {
		return "", malformed("no bearer token")
	}
	return Token(token), nil
}

func notInToken(r rune) bool {
	return notInBinding(r) && !strings.ContainsRune("_~+/=", r)
}

// readFields reads key=value pairs, each ended by kvsep, up to one more.
func readFields(text string) (map[string]string, error) {
	fields := make(map[string]string)
	for {
		pair, rest, ended := strings.Cut(text, kvsep)
		switch {
		case !ended, pair == "" && rest != "":
			return nil, malformed("fields without an end")
		case pair == "":
			return fields, nil
		}
		key, value, ok := strings.Cut(pair, "=")
		key = strings.ToLower(key)
		if _, twice := fields[key]; !ok || twice || !cleanName(value) {
			return nil, malformed("not a field, or twice")
		}
		fields[key], text = value, rest
	}
}
