package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// storedSCRAM is what SCRAM keeps of a password (RFC 5802 §3, RFC 7677).
type storedSCRAM struct {
	scheme               string
	kind                 Kinds
	new                  func() hash.Hash
	iterations           int
	salt, stored, server []byte
}

// decodeSCRAM reads "iterations:salt$StoredKey:ServerKey" of RFC 5803 §2, and
// Dovecot's form of it with three commas.
func decodeSCRAM(scheme, value string, limit costs) (matcher, error) {
	s := &storedSCRAM{scheme: scheme, kind: SCRAMSHA256Secrets, new: sha256.New}
	if scheme == "SCRAM-SHA-1" {
		s.kind, s.new = SCRAMSHA1Secrets, sha1.New
	}
	words := strings.Split(value, ",")
	if len(words) == 1 {
		words = strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == '$' })
	}
	if len(words) != 4 {
		return nil, errBroken
	}
	var err error
	if s.iterations, err = iterations(words[0], limit); err != nil {
		return nil, err
	}
	var raw [3][]byte
	for i, word := range words[1:] {
		if raw[i], err = base64.StdEncoding.DecodeString(word); err != nil {
			return nil, errBroken
		}
	}
	size := s.new().Size()
	if len(raw[0]) == 0 || len(raw[1]) != size || len(raw[2]) != size {
		return nil, errBroken
	}
	s.salt, s.stored, s.server = raw[0], raw[1], raw[2]
	return s, nil
}

// value writes the secret as RFC 5803 does.
func (s *storedSCRAM) value() []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, "%d:%s$%s:%s", s.iterations, b64(s.salt), b64(s.stored), b64(s.server))
}

// MatchAdvanced derives the StoredKey of a password, and of its form KC when
// that is another, which is what SASLprep (RFC 4013 §2.2) makes of it.
func (s *storedSCRAM) MatchAdvanced(password string) (bool, error) {
	prepared := norm.NFKC.String(password)
	return s.fits(password) || prepared != password && s.fits(prepared), nil
}

func (s *storedSCRAM) fits(password string) bool {
	stored := s.derive(password)
	return stored != nil && subtle.ConstantTimeCompare(stored, s.stored) == 1
}

func (s *storedSCRAM) derive(password string) []byte {
	salted, err := pbkdf2.Key(s.new, password, s.salt, s.iterations, s.new().Size())
	if err != nil {
		return nil
	}
	client := hmac.New(s.new, salted)
	client.Write([]byte("Client Key"))
	stored := s.new()
	stored.Write(client.Sum(nil))
	return stored.Sum(nil)
}
