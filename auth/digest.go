package auth

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// saltedDigest is a digest of a password and then a salt, which may be empty.
type saltedDigest struct {
	new       func() hash.Hash
	sum, salt []byte
}

// decode reads the value of a scheme. Dovecot writes a digest without salt in
// hexadecimal digits or in base64; its length tells which.
func (d digestScheme) decode(enc encoding, value string) (matcher, error) {
	size := d.new().Size()
	if enc == ownEncoding && !d.salted && len(value) == hex.EncodedLen(size) {
		enc = hexEncoding
	}
	raw, err := enc.octets(value)
	switch {
	case err != nil:
		return nil, err
	case d.salted && len(raw) <= size, !d.salted && len(raw) != size:
		return nil, errBroken
	}
	return saltedDigest{d.new, raw[:size], raw[size:]}, nil
}

func (d saltedDigest) MatchAdvanced(password string) (bool, error) {
	h := d.new()
	h.Write([]byte(password))
	h.Write(d.salt)
	return subtle.ConstantTimeCompare(h.Sum(nil), d.sum) == 1, nil
}

// clearText is a password that is stored as it is.
type clearText string

// MatchAdvanced compares digests, so that the time does not tell the length.
func (c clearText) MatchAdvanced(password string) (bool, error) {
	stored, shown := sha256.Sum256([]byte(norm.NFC.String(string(c)))), sha256.Sum256([]byte(norm.NFC.String(password)))
	return subtle.ConstantTimeCompare(stored[:], shown[:]) == 1, nil
}

// dovecotPBKDF2 is Dovecot's "$1$salt$iterations$key": PBKDF2 with HMAC-SHA-1
// (RFC 8018 §5.2), where the salt is text and the key hexadecimal.
type dovecotPBKDF2 struct {
	salt       string
	iterations int
	key        []byte
}

func decodeDovecotPBKDF2(value string, limit costs) (matcher, error) {
	words := strings.Split(value, "$")
	if len(words) != 5 {
		return nil, errBroken
	}
	n, err := iterations(words[3], limit)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(words[4])
	if err != nil || len(key) != sha1.Size {
		return nil, errBroken
	}
	return dovecotPBKDF2{words[2], n, key}, nil
}

// iterations reads how often PBKDF2 repeats its work.
func iterations(text string, limit costs) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 || n > limit.rounds {
		return 0, errExpensive
	}
	return int(n), nil
}

func (p dovecotPBKDF2) MatchAdvanced(password string) (bool, error) {
	key, err := pbkdf2.Key(sha1.New, password, []byte(p.salt), p.iterations, len(p.key))
	return err == nil && subtle.ConstantTimeCompare(key, p.key) == 1, err
}
