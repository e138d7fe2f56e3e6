package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// The cost of a new SCRAM secret. RFC 7677 §4 asks for 4096 iterations at
// least, and for some tenth of a second of a client that is slow. Eight times
// the least is within that, costs a server that derives a secret itself some
// milliseconds of one processor, and is half of what Cyrus SASL's clients
// agree to (65,536).
const (
	scramIterations = 32_768
	scramSalt       = 16 // octets
)

// Bounds of a stored secret: fewer iterations are too weak a secret to be
// used, more would keep a client busy for seconds.
const (
	leastIterations = 4096
	mostIterations  = 10_000_000
	longestSalt     = 64 // octets
)

// schemePlain is the scheme of a Secret that is the password itself.
const schemePlain = "PLAIN"

// scramHash is the hash function of one kind of SCRAM.
type scramHash struct {
	scheme string // as Secret has it
	new    func() hash.Hash
	size   int // octets
	secret Kinds
}

func scramSHA256() scramHash {
	return scramHash{"SCRAM-SHA-256", sha256.New, sha256.Size, SCRAMSHA256Secrets}
}

func scramSHA1() scramHash { return scramHash{"SCRAM-SHA-1", sha1.New, sha1.Size, SCRAMSHA1Secrets} }

// scramKeys are what a server needs to know of a password (RFC 5802 §3).
type scramKeys struct {
	iterations           int
	salt, stored, server []byte
}

// NewSCRAMSecret makes the secret of a password that SCRAM needs, to be kept
// beside HashPassword's, or in its place. The scheme is "SCRAM-SHA-256" or
// "SCRAM-SHA-1". Whoever steals the secret can guess the password more cheaply
// than with HashPassword's hash, so that it is best made where it is used.
// ErrPassword for a password that is none, or that SASLprep (RFC 4013)
// prohibits: no client of SCRAM could show that one.
func NewSCRAMSecret(scheme, password string) (Secret, error) {
	var h scramHash
	switch scheme {
	case scramSHA256().scheme:
		h = scramSHA256()
	case scramSHA1().scheme:
		h = scramSHA1()
	default:
		return Secret{}, fmt.Errorf("%w: %q", errScheme, scheme)
	}
	prepared, err := saslPrep(password)
	if err != nil || len(password) > maxPassword {
		return Secret{}, ErrPassword
	}
	salt := make([]byte, scramSalt)
	_, _ = rand.Read(salt) // never fails
	keys, err := h.derive(prepared, salt, scramIterations)
	if err != nil {
		return Secret{}, err
	}
	return Secret{Scheme: scheme, Value: keys.encode()}, nil
}

// derive makes the keys of a password. It takes a place in hashing.
func (h scramHash) derive(password string, salt []byte, iterations int) (scramKeys, error) {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return h.keysOf(password, salt, iterations)
}

// keysOf is derive for who has a place in hashing.
func (h scramHash) keysOf(password string, salt []byte, iterations int) (scramKeys, error) {
	salted, err := pbkdf2.Key(h.new, password, salt, iterations, h.size)
	if err != nil {
		return scramKeys{}, fmt.Errorf("SCRAM secret: %w", err)
	}
	return scramKeys{
		iterations: iterations, salt: salt,
		stored: h.sum(h.mac(salted, "Client Key")), server: h.mac(salted, "Server Key"),
	}, nil
}

func (h scramHash) mac(key []byte, text string) []byte {
	m := hmac.New(h.new, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func (h scramHash) sum(text []byte) []byte {
	s := h.new()
	s.Write(text)
	return s.Sum(nil)
}

// encode writes keys as RFC 5803 does.
func (k scramKeys) encode() []byte {
	b := strconv.AppendInt(nil, int64(k.iterations), 10)
	for i, part := range [][]byte{k.salt, k.stored, k.server} {
		b = base64.StdEncoding.AppendEncode(append(b, ":$:"[i]), part)
	}
	return b
}

// parse reads what encode wrote. ErrHash, without the secret in it.
func (h scramHash) parse(value []byte) (k scramKeys, err error) {
	if len(value) > maxHash {
		return k, fmt.Errorf("%w: too long", ErrHash)
	}
	head, keys, _ := bytes.Cut(value, []byte("$"))
	count, salt, _ := bytes.Cut(head, []byte(":"))
	stored, server, _ := bytes.Cut(keys, []byte(":"))
	n, err := strconv.ParseUint(string(count), 10, 32)
	if err != nil || n < leastIterations || n > mostIterations {
		return k, fmt.Errorf("%w: %w", ErrHash, errExpensive)
	}
	k.iterations = int(n)
	for _, part := range []struct {
		text        []byte
		to          *[]byte
		least, most int
	}{{salt, &k.salt, 1, longestSalt}, {stored, &k.stored, h.size, h.size}, {server, &k.server, h.size, h.size}} {
		b, err := decode64(string(part.text))
		if err != nil || len(b) < part.least || len(b) > part.most {
			return scramKeys{}, fmt.Errorf("%w: not a SCRAM secret", ErrHash)
		}
		*part.to = b
	}
	return k, nil
}

// decode64 reads base64 of the one spelling that is right.
func decode64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

// PasswordForms makes everything that is kept of a password: the hash of
// HashPassword, and a secret of each scheme by its name. A password that
// SASLprep prohibits has a hash alone, which PLAIN can still be checked
// against. ErrPassword.
func PasswordForms(password string, schemes ...string) (hash string, secrets map[string]string, err error) {
	if hash, err = HashPassword(password); err != nil {
		return "", nil, err
	}
	secrets = make(map[string]string)
	if _, err := saslPrep(password); err != nil {
		return hash, secrets, nil
	}
	for _, scheme := range schemes {
		s, err := NewSCRAMSecret(scheme, password)
		if err != nil {
			return "", nil, err
		}
		secrets[scheme] = string(s.Value)
	}
	return hash, secrets, nil
}
