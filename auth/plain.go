package auth

import "bytes"

// plain is the mechanism PLAIN (RFC 4616): one response,
// authorization identity NUL user NUL password.
type plain struct{}

func (plain) Next(e *Exchange, response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte{}, false, nil
	}
	words := bytes.Split(response, []byte{0})
	if len(words) != 3 {
		return nil, false, malformed("PLAIN has three words")
	}
	if err := e.SetUser(string(words[1])); err != nil {
		return nil, false, err
	}
	return nil, true, e.CheckPassword(string(words[0]), string(words[2]))
}
