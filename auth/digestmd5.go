package auth

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// digestMD5 is DIGEST-MD5 (RFC 2831, which RFC 6331 calls historic), with
// quality of protection "auth" alone and without subsequent authentication:
// each nonce is good for one response. Of the digest-uri the service is
// checked; its host is not, since a server has many names.
type digestMD5 struct {
	nonce string
	at    digestStep
	final []byte // rspauth
}

// digestStep is the message that the client sends next.
type digestStep int

const (
	digestNothing digestStep = iota
	digestResponse
	digestEnd // an empty one: the client has seen rspauth
)

// maxDigestResponse bounds a response (RFC 2831 §2.1.2), in octets.
const maxDigestResponse = 4096

func newDigestMD5() Mechanism { return &digestMD5{nonce: rand.Text()} }

func (m *digestMD5) Next(e *Exchange, response []byte) (challenge []byte, done bool, err error) {
	switch m.at {
	case digestNothing:
		m.at = digestResponse
		return fmt.Appendf(nil, `realm="%s",nonce="%s",qop="auth",charset=utf-8,algorithm=md5-sess`, e.policy.realm(), m.nonce), false, nil
	case digestResponse:
		m.at = digestEnd
		err = m.respond(e, response)
		return m.final, false, err
	}
	if len(response) > 0 {
		return nil, false, malformed("DIGEST-MD5 ends with an empty response")
	}
	return nil, true, nil
}

// respond takes digest-response and makes response-auth.
func (m *digestMD5) respond(e *Exchange, response []byte) error {
	if len(response) > maxDigestResponse {
		return malformed("response too long")
	}
	d, err := parseDirectives(string(response))
	if err != nil {
		return err
	}
	if err := m.checkDirectives(e, d); err != nil {
		return err
	}
	user, err := digestText(d["username"], d["charset"])
	if err != nil {
		return err
	}
	if err := e.SetUser(user); err != nil {
		return err
	}
	check := func(s Secret) bool {
		key := digestKey(d, user, string(s.Value))
		if s.Scheme != schemePlain || len(s.Value) == 0 || !hmac.Equal([]byte(key.response(d, "AUTHENTICATE")), []byte(d["response"])) {
			return false
		}
		m.final = []byte("rspauth=" + key.response(d, ""))
		return true
	}
	return e.checkResponse(d["authzid"], &Response{Scheme: schemePlain, Check: check}, noSecret())
}

// checkDirectives refuses a response to another challenge than ours.
func (m *digestMD5) checkDirectives(e *Exchange, d map[string]string) error {
	service, _, _ := strings.Cut(strings.ToLower(d["digest-uri"]), "/")
	realm, err := digestText(d["realm"], d["charset"])
	switch {
	case err != nil:
		return err
	case d["nonce"] != m.nonce:
		return fmt.Errorf("%w: the nonce of another exchange", ErrBadCredentials)
	case d["nc"] != "00000001", d["cnonce"] == "", len(d["response"]) != 2*md5.Size:
		return malformed("not a first response of DIGEST-MD5")
	case realm != e.policy.realm():
		return fmt.Errorf("%w: another realm", ErrBadCredentials)
	case d["qop"] != "" && d["qop"] != "auth":
		return malformed("a quality of protection that was not offered")
	case !strings.Contains(d["digest-uri"], "/") || service != digestService(e.creds.Service):
		return fmt.Errorf("%w: a response for another service", ErrBadCredentials)
	}
	return nil
}

// digestService is the name of a service in the registry that SASL uses.
func digestService(service string) string {
	switch service {
	case "submission", "lmtp":
		return "smtp"
	case "pop3":
		return "pop"
	}
	return service
}

// md5Key is H(A1) in hexadecimal.
type md5Key string

// digestKey makes the key of a password (RFC 2831 §2.1.2.1). Text that
// ISO 8859-1 can write is hashed in it.
func digestKey(d map[string]string, user, password string) md5Key {
	realm, _ := digestText(d["realm"], d["charset"])
	inner := md5.Sum([]byte(latin1(user) + ":" + latin1(realm) + ":" + latin1(password)))
	a1 := string(inner[:]) + ":" + d["nonce"] + ":" + d["cnonce"]
	if id, ok := d["authzid"]; ok {
		a1 += ":" + id
	}
	return md5Key(md5Hex(a1))
}

// response is response-value; with an empty method it is that of the server.
func (k md5Key) response(d map[string]string, method string) string {
	a2 := md5Hex(method + ":" + d["digest-uri"])
	return md5Hex(strings.Join([]string{string(k), d["nonce"], d["nc"], d["cnonce"], "auth", a2}, ":"))
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}
