package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// scram is SCRAM (RFC 5802, RFC 7677), with and without channel binding. It is
// our own because the Authenticator decides, by a Response, and because who
// does not exist must be asked for a proof as everybody else.
type scram struct {
	hash  scramHash
	binds binding
	nonce string // our half of it: new for each exchange, so that nothing can be replayed
	at    scramStep

	gs2         gs2Header
	secret      Secret // of the user, or made up
	told        scramKeys
	clientFirst string // without the GS2 header
	serverFirst string
	signature   []byte // ours, once the proof has been found to fit
}

// scramStep is the message that the client sends next.
type scramStep int

const (
	scramFirst scramStep = iota
	scramFinal
	scramEnd // an empty one: the client has seen our signature
)

// binding is whether the name of a mechanism ends with -PLUS.
type binding bool

func newSCRAM(h scramHash, b binding) func() Mechanism {
	return func() Mechanism { return &scram{hash: h, binds: b, nonce: rand.Text()} }
}

func (m *scram) Next(e *Exchange, response []byte) (challenge []byte, done bool, err error) {
	switch m.at {
	case scramFirst:
		if response == nil {
			return []byte{}, false, nil
		}
		m.at = scramFinal
		err = m.first(e, string(response))
		return []byte(m.serverFirst), false, err
	case scramFinal:
		m.at = scramEnd
		err = m.final(e, string(response))
		return base64.StdEncoding.AppendEncode([]byte("v="), m.signature), false, err
	}
	if len(response) > 0 {
		return nil, false, malformed("SCRAM ends with an empty response")
	}
	return nil, true, nil
}

// first takes client-first-message and makes server-first-message.
func (m *scram) first(e *Exchange, message string) error {
	var err error
	if m.gs2, m.clientFirst, err = cutGS2(message); err != nil {
		return err
	}
	if err := m.checkFlag(e); err != nil {
		return err
	}
	user, nonce, err := parseClientFirst(m.clientFirst)
	if err != nil {
		return err
	}
	if user, err = saslPrep(user); err != nil {
		return malformed(err.Error())
	}
	if err := e.SetUser(user); err != nil {
		return err
	}
	if err := m.lookup(e); err != nil {
		return err
	}
	m.nonce = nonce + m.nonce
	m.serverFirst = fmt.Sprintf("r=%s,s=%s,i=%d", m.nonce, base64.StdEncoding.EncodeToString(m.told.salt), m.told.iterations)
	return nil
}

// checkFlag refuses what can't be of an honest client on this channel
// (RFC 5802 §6). A client that could bind and believes that we can't was
// shown another list of mechanisms than ours: somebody stands between.
func (m *scram) checkFlag(e *Exchange) error {
	switch {
	case (m.gs2.flag == 'p') != bool(m.binds):
		return malformed("the flag of channel binding is not of this mechanism")
	case m.gs2.flag == 'y' && e.offers(m.hash.scheme+"-PLUS"):
		return fmt.Errorf("%w: the client was told that there is no channel binding", ErrBadCredentials)
	case m.gs2.flag == 'p' && channelBinding(e.creds.TLS, m.gs2.binding) == nil:
		return fmt.Errorf("%w: the channel has no binding of this type", ErrBadCredentials)
	}
	return nil
}

// lookup finds the user's secret, or makes one up for who has none.
func (m *scram) lookup(e *Exchange) error {
	source, ok := As[SecretSource](e.check)
	if !ok {
		return fmt.Errorf("%w: there is no source of secrets", ErrUnavailable)
	}
	salt := e.policy.SCRAM.salt(m.hash.scheme, e.creds.User)
	iterations := orDefault(e.policy.SCRAM.Iterations, scramIterations)
	secret, err := source.Secret(e.ctx, e.creds.User, m.hash.scheme)
	switch {
	case errors.Is(err, ErrBadCredentials), errors.Is(err, ErrDisabled):
		secret = m.madeUp(ProofsOf(e.check), scramKeys{iterations: iterations, salt: salt})
	case err != nil:
		return err
	}
	m.secret = secret
	switch secret.Scheme {
	case schemePlain:
		m.told = scramKeys{iterations: iterations, salt: salt}
		return nil
	case m.hash.scheme:
		if m.told, err = m.hash.parse(secret.Value); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, errScheme)
}

// madeUp returns the secret of somebody who has none. It takes the same work
// as those of the others.
func (m *scram) madeUp(can Kinds, k scramKeys) Secret {
	if can&ClearSecrets != 0 {
		return Secret{Scheme: schemePlain, Value: []byte(rand.Text())}
	}
	k.stored, k.server = make([]byte, m.hash.size), make([]byte, m.hash.size)
	_, _ = rand.Read(k.stored) // never fails
	return Secret{Scheme: m.hash.scheme, Value: k.encode()}
}

// final takes client-final-message and asks the Authenticator.
func (m *scram) final(e *Exchange, message string) error {
	f, err := parseClientFinal(message)
	if err != nil {
		return err
	}
	bound := []byte(m.gs2.text)
	if m.gs2.flag == 'p' {
		bound = append(bound, channelBinding(e.creds.TLS, m.gs2.binding)...)
	}
	switch {
	case subtle.ConstantTimeCompare(f.binding, bound) == 0:
		return fmt.Errorf("%w: another channel, or another GS2 header", ErrBadCredentials)
	case subtle.ConstantTimeCompare([]byte(f.nonce), []byte(m.nonce)) == 0:
		return fmt.Errorf("%w: the nonce of another exchange", ErrBadCredentials)
	case len(f.proof) != m.hash.size:
		return malformed("a proof of the wrong length")
	}
	said := strings.Join([]string{m.clientFirst, m.serverFirst, f.withoutProof}, ",")
	check := func(s Secret) bool { return m.verify(s, said, f.proof) }
	return e.checkResponse(m.gs2.authzID, &Response{Scheme: m.hash.scheme, Check: check}, m.secret)
}

// verify reports whether a proof is of who knows the password of a secret
// (RFC 5802 §3), and then signs what was said.
func (m *scram) verify(s Secret, said string, proof []byte) bool {
	var keys scramKeys
	var err error
	switch s.Scheme {
	case schemePlain:
		password := string(s.Value)
		if prepared, err := saslPrep(password); err == nil {
			password = prepared
		}
		keys, err = m.hash.derive(password, m.told.salt, m.told.iterations)
	case m.hash.scheme:
		keys, err = m.hash.parse(s.Value)
	default:
		err = errScheme
	}
	if err != nil {
		return false
	}
	client := m.hash.mac(keys.stored, said)
	subtle.XORBytes(client, client, proof)
	if !hmac.Equal(m.hash.sum(client), keys.stored) {
		return false
	}
	m.signature = m.hash.mac(keys.server, said)
	return true
}

// SCRAMOptions say what SCRAM shows of users who have no secret of their own:
// those who don't exist, and those whose secret is derived from a password in
// clear text. The two look the same; they look as those with a stored secret
// do as long as these were made with as many iterations and 16 octets of salt,
// as NewSCRAMSecret does.
type SCRAMOptions struct {
	Key        []byte // makes the salts. All servers that a client can compare need the same, across restarts; nil: made at random for this process
	Iterations int    // 4096 at least; 0 means those of NewSCRAMSecret
	Domain     string // what a login without a domain stands for, so that it has the salt of the whole name; may be empty
}

var processKey = sync.OnceValue(func() []byte { return []byte(rand.Text()) })

// salt returns the salt of a user, always the same one.
func (o SCRAMOptions) salt(scheme, user string) []byte {
	key := o.Key
	if key == nil {
		key = processKey()
	}
	name := NormalName(user)
	if o.Domain != "" && !strings.Contains(name, "@") {
		name = NormalName(name + "@" + o.Domain)
	}
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%s\x00%s", scheme, name)
	return m.Sum(nil)[:scramSalt]
}
