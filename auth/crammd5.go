package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
)

// cramMD5 is CRAM-MD5 (RFC 2195). It needs passwords in clear text on the
// server, and lets whoever listens guess them; it is for old clients.
type cramMD5 struct {
	nonce     string
	challenge string // empty: not sent yet
}

func newCRAMMD5() Mechanism { return &cramMD5{nonce: rand.Text()} }

func (m *cramMD5) Next(e *Exchange, response []byte) (challenge []byte, done bool, err error) {
	if m.challenge == "" {
		m.challenge = "<" + m.nonce + "@" + e.policy.realm() + ">"
		return []byte(m.challenge), false, nil
	}
	space := bytes.LastIndexByte(response, ' ')
	if space < 0 {
		return nil, false, malformed("CRAM-MD5 has a user and a digest")
	}
	digest := make([]byte, md5.Size)
	if n, err := hex.Decode(digest, fit(response[space+1:], 2*md5.Size)); err != nil || n != md5.Size {
		return nil, false, malformed("not a digest of CRAM-MD5")
	}
	if err := e.SetUser(string(response[:space])); err != nil {
		return nil, false, err
	}
	check := func(s Secret) bool {
		mac := hmac.New(md5.New, s.Value)
		mac.Write([]byte(m.challenge))
		return s.Scheme == schemePlain && len(s.Value) > 0 && hmac.Equal(mac.Sum(nil), digest)
	}
	return nil, true, e.checkResponse("", &Response{Scheme: schemePlain, Check: check}, noSecret())
}

// fit returns text of the length n, and nothing of another.
func fit(text []byte, n int) []byte {
	if len(text) != n {
		return nil
	}
	return text
}

// noSecret is checked for who has no password in clear text.
func noSecret() Secret { return Secret{Scheme: schemePlain, Value: []byte(rand.Text())} }
