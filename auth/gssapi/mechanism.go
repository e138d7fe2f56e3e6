package gssapi

import (
	"fmt"

	"github.com/posthouse-mail/posthouse/auth"
)

// noLayer is the bit of "no security layer" (RFC 4752 §3.3).
const noLayer = 1

// mechanism is the server's side of GSSAPI (RFC 4752 §3.2): the client's
// request, the reply if he wants one, then the offer and the choice of a
// security layer, of which there is none.
type mechanism struct {
	server  *Authenticator
	context *secContext
	offered bool
}

// Next takes the client's next token.
func (m *mechanism) Next(e *auth.Exchange, response []byte) (challenge []byte, done bool, err error) {
	switch {
	case m.context == nil && response == nil:
		return []byte{}, false, nil
	case m.context == nil:
		var reply []byte
		if m.context, reply, err = m.server.accept(response, e.Credentials()); err != nil || reply != nil {
			return reply, false, err
		}
		return m.offer()
	case !m.offered:
		if len(response) > 0 {
			return nil, false, refused("an answer where there is none to give")
		}
		return m.offer()
	}
	authzID, err := m.choice(response)
	if err != nil {
		return nil, false, err
	}
	return nil, true, e.CheckProof(authzID, m.context.client)
}

// offer says which security layers there are, and how long a message may be
// that a client protects: none, and none.
func (m *mechanism) offer() (challenge []byte, done bool, err error) {
	m.offered = true
	challenge, err = m.context.wrap([]byte{noLayer, 0, 0, 0})
	return challenge, false, err
}

// choice reads what the client chose, and for whom he acts.
func (m *mechanism) choice(token []byte) (authzID string, err error) {
	text, err := m.context.unwrap(token)
	switch {
	case err != nil:
		return "", err
	case len(text) < 4:
		return "", refused("no choice of a security layer")
	case text[0] != noLayer:
		return "", refused("the security layers %#x were not offered", text[0])
	case text[1]|text[2]|text[3] != 0:
		return "", refused("a size of messages without a security layer")
	}
	authzID = string(text[4:])
	if c := m.context.client; authzID == c.Name+"@"+c.Realm {
		return "", nil // some clients name themselves as their tickets do
	}
	return authzID, nil
}

func unavailable(why string) error { return fmt.Errorf("%w: GSSAPI: %s", auth.ErrUnavailable, why) }
