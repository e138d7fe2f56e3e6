package auth

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
)

// md5Crypt is a hash "$1$salt$key" of crypt(3), or "$apr1$salt$key" of
// Apache's htpasswd, which differ in their prefix only.
type md5Crypt struct{ prefix, salt, key string }

func (v Verifier) decodeMD5Crypt(words []string) (matcher, error) {
	switch {
	case !v.AllowWeak:
		return nil, errWeak
	case len(words) != 4 || len(words[2]) > 8 || len(words[3]) != 22:
		return nil, errBroken
	}
	return md5Crypt{"$" + words[1] + "$", words[2], words[3]}, nil
}

func (m md5Crypt) MatchAdvanced(password string) (bool, error) {
	return subtle.ConstantTimeCompare([]byte(m.compute([]byte(password))), []byte(m.key)) == 1, nil
}

// compute derives the key of a password, which is not empty.
func (m md5Crypt) compute(password []byte) string {
	salt := []byte(m.salt)
	inner := md5.Sum(bytes.Join([][]byte{password, salt, password}, nil))
	text := bytes.Join([][]byte{password, []byte(m.prefix), salt}, nil)
	for n := len(password); n > 0; n -= md5.Size {
		text = append(text, inner[:min(n, md5.Size)]...)
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 == 1 {
			text = append(text, 0)
		} else {
			text = append(text, password[0])
		}
	}
	sum := md5.Sum(text)
	for i := range 1000 {
		first, last := sum[:], password
		if i&1 == 1 {
			first, last = last, first
		}
		text = append(text[:0], first...)
		if i%3 != 0 {
			text = append(text, salt...)
		}
		if i%7 != 0 {
			text = append(text, password...)
		}
		sum = md5.Sum(append(text, last...))
	}
	return md5CryptKey(sum)
}

// md5CryptKey writes a sum in the digits of crypt(3), three octets in four of
// them and the least significant digit first.
func md5CryptKey(sum [md5.Size]byte) string {
	var key []byte
	write := func(n uint, digits int) {
		for range digits {
			key = append(key, cryptDigits[n&63])
			n >>= 6
		}
	}
	for i := range 5 {
		third := i + 12
		if i == 4 {
			third = 5
		}
		write(uint(sum[i])<<16|uint(sum[i+6])<<8|uint(sum[third]), 4)
	}
	write(uint(sum[11]), 2)
	return string(key)
}
