package auth

import (
	"crypto/subtle"
	"strings"
)

// storedSCRAM is what SCRAM keeps of a password (RFC 5802 §3, RFC 7677).
type storedSCRAM struct {
	scramHash
	keys scramKeys
}

// decodeSCRAM reads "iterations:salt$StoredKey:ServerKey" of RFC 5803 §2, and
// Dovecot's form of it with three commas.
func decodeSCRAM(scheme, value string, limit costs) (matcher, error) {
	s := &storedSCRAM{scramHash: scramSHA256()}
	if scheme == scramSHA1().scheme {
		s.scramHash = scramSHA1()
	}
	words := strings.Split(value, ",")
	if len(words) == 1 {
		words = strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == '$' })
	}
	if len(words) != 4 {
		return nil, errBroken
	}
	var err error
	if s.keys.iterations, err = iterations(words[0], limit); err != nil {
		return nil, err
	}
	for i, to := range []*[]byte{&s.keys.salt, &s.keys.stored, &s.keys.server} {
		if *to, err = decode64(words[1+i]); err != nil {
			return nil, errBroken
		}
	}
	if len(s.keys.salt) == 0 || len(s.keys.stored) != s.size || len(s.keys.server) != s.size {
		return nil, errBroken
	}
	return s, nil
}

// MatchAdvanced derives the keys of a password as SASLprep makes it, and of
// the password as it is when that is another: not all programs prepare it.
func (s *storedSCRAM) MatchAdvanced(password string) (bool, error) {
	prepared, err := saslPrep(password)
	if err != nil {
		prepared = password
	}
	return s.fits(prepared) || prepared != password && s.fits(password), nil
}

func (s *storedSCRAM) fits(password string) bool {
	k, err := s.keysOf(password, s.keys.salt, s.keys.iterations)
	return err == nil && subtle.ConstantTimeCompare(k.stored, s.keys.stored) == 1
}
