package authtest

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// SCRAM is the client's side of SCRAM (RFC 5802, RFC 7677), for tests: it is
// written apart from the server's. It is a sasl.Client.
type SCRAM struct {
	Mechanism      string // "SCRAM-SHA-256-PLUS" and so on
	User, Password string // prepared already
	AuthzID        string
	Flag           string // of the GS2 header: "n", "y", "p=tls-exporter"; empty means "n"
	Binding        []byte // the data of the channel binding
	Nonce          string // empty: made at random

	header, first, said string
	salted              []byte
	over                bool
}

// Errors of the client. Test with errors.Is.
var (
	ErrServer     = errors.New("the server does not know the password")
	ErrIterations = errors.New("an iteration count out of bounds")
)

// Start returns the initial response.
func (c *SCRAM) Start() (mechanism string, response []byte, err error) {
	if c.Flag == "" {
		c.Flag = "n"
	}
	if c.Nonce == "" {
		c.Nonce = rand.Text()
	}
	c.header = c.Flag + ","
	if c.AuthzID != "" {
		c.header += "a=" + quoted(c.AuthzID)
	}
	c.header += ","
	c.first = "n=" + quoted(c.User) + ",r=" + c.Nonce
	return c.Mechanism, []byte(c.header + c.first), nil
}

func quoted(name string) string { return strings.NewReplacer(",", "=2C", "=", "=3D").Replace(name) }

// Next answers a challenge. The last answer is an empty one, to a signature
// that proves that the server knows the password's secret.
func (c *SCRAM) Next(challenge []byte) ([]byte, error) {
	switch {
	case c.over:
		return nil, errors.New("a challenge after the end")
	case c.said == "":
		return c.prove(string(challenge))
	}
	c.over = true
	want := "v=" + base64.StdEncoding.EncodeToString(c.mac(c.mac(c.salted, "Server Key"), c.said))
	if string(challenge) != want {
		return nil, fmt.Errorf("%w: it says %q", ErrServer, challenge)
	}
	return []byte{}, nil
}

func (c *SCRAM) prove(challenge string) ([]byte, error) {
	var nonce, salt, count string
	for part := range strings.SplitSeq(challenge, ",") {
		if len(part) < 2 {
			return nil, fmt.Errorf("not a challenge: %q", challenge)
		}
		switch part[:2] {
		case "r=":
			nonce = part[2:]
		case "s=":
			salt = part[2:]
		case "i=":
			count = part[2:]
		}
	}
	salted, err := base64.StdEncoding.DecodeString(salt)
	if err != nil || !strings.HasPrefix(nonce, c.Nonce) || len(nonce) == len(c.Nonce) {
		return nil, fmt.Errorf("not a challenge: %q", challenge)
	}
	iterations, err := strconv.Atoi(count)
	if err != nil || iterations < 4096 || iterations > 10_000_000 {
		return nil, fmt.Errorf("%w: %q", ErrIterations, count)
	}
	if c.salted, err = pbkdf2.Key(c.hash(), c.Password, salted, iterations, c.hash()().Size()); err != nil {
		return nil, err
	}
	bare := "c=" + base64.StdEncoding.EncodeToString(append([]byte(c.header), c.Binding...)) + ",r=" + nonce
	c.said = c.first + "," + challenge + "," + bare
	key := c.mac(c.salted, "Client Key")
	stored := c.hash()()
	stored.Write(key)
	signature := c.mac(stored.Sum(nil), c.said)
	for i := range key {
		key[i] ^= signature[i]
	}
	return []byte(bare + ",p=" + base64.StdEncoding.EncodeToString(key)), nil
}

func (c *SCRAM) hash() func() hash.Hash {
	if strings.HasPrefix(c.Mechanism, "SCRAM-SHA-1") {
		return sha1.New
	}
	return sha256.New
}

func (c *SCRAM) mac(key []byte, text string) []byte {
	m := hmac.New(c.hash(), key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
