// Package secret makes secrets that are generated and never chosen, and checks
// them by a fast hash.
//
// A hash for passwords is slow because people choose passwords that can be
// guessed. What is made here is random with MinBits or more: who reads all the
// hashes and tries a billion billion secrets a second is not done before the
// sun is. So one HMAC with a salt is enough, and a login costs a microsecond.
package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// MinBits is how many random bits a secret must have for a fast hash.
const MinBits = 90

// scheme names how hashes are made, in each of them.
const scheme = "hmac-sha256"

// saltSize is in octets.
const saltSize = 16

// Letters returns n random letters, a to z, each worth 4.7 bits.
func Letters(n int) string {
	letters := make([]byte, 0, n)
	var random [64]byte
	for len(letters) < n {
		_, _ = rand.Read(random[:]) // never fails
		for _, b := range random {
			if b < 9*26 && len(letters) < n { // no letter is likelier
				letters = append(letters, 'a'+b%26)
			}
		}
	}
	return string(letters)
}

// IsLetters reports whether a text could be one of Letters.
func IsLetters(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

// Group puts a hyphen after every four letters but the last, so that a secret
// can be read and typed.
func Group(letters string) string {
	var groups []string
	for len(letters) > 4 {
		groups, letters = append(groups, letters[:4]), letters[4:]
	}
	return strings.Join(append(groups, letters), "-")
}

// Hash returns what is kept of a secret: scheme, salt and sum.
func Hash(secret string) string {
	var salt [saltSize]byte
	_, _ = rand.Read(salt[:]) // never fails
	return strings.Join([]string{scheme, encode(salt[:]), encode(sum(salt[:], secret))}, "$")
}

// Matches reports whether a secret fits a hash, in a time that does not depend
// on either. Nothing fits what is no hash.
func Matches(hash, secret string) bool {
	words := strings.Split(hash, "$")
	if len(words) != 3 || words[0] != scheme {
		words = []string{scheme, "", ""}
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(words[1])
	want, sumErr := base64.RawStdEncoding.DecodeString(words[2])
	return hmac.Equal(want, sum(salt, secret)) && saltErr == nil && sumErr == nil && len(salt) == saltSize
}

func sum(salt []byte, secret string) []byte {
	h := hmac.New(sha256.New, salt)
	h.Write([]byte(secret))
	return h.Sum(nil)
}

func encode(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }
