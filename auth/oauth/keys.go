package oauth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of a key set and of an RSA key in it.
const (
	maxKeys    = 100
	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192
)

// keySet is an issuer's keys by their kid; those without one by "".
type keySet map[string][]key

// key is a public key that tokens may be signed with.
type key struct {
	public any    // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	alg    string // the only algorithm it is for; empty: any that fits
}

// parseKeys reads a JWK set (RFC 7517 §5). Keys that are not understood, not
// public, or not for signatures are left out; a set without any other is an
// error.
func parseKeys(text []byte) (keySet, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &raw) != nil {
		return nil, errors.New("not a JWK set")
	}
	if len(raw.Keys) > maxKeys {
		return nil, errors.New("too many keys")
	}
	set := keySet{}
	for _, one := range raw.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(one) != nil || !isVerifier(k.Key) || k.Use != "" && k.Use != "sig" {
			continue
		}
		set[k.KeyID] = append(set[k.KeyID], key{k.Key, k.Algorithm})
	}
	if len(set) == 0 {
		return nil, errors.New("no usable key")
	}
	return set, nil
}

// isVerifier reports whether a key is public, and strong without being slow.
func isVerifier(k any) bool {
	switch k := k.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSABits && k.N.BitLen() <= maxRSABits
	case *ecdsa.PublicKey:
		return true
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	}
	return false
}

// fits reports whether an algorithm is one of a key's. Curves are compared
// when the signature is verified.
func (k key) fits(alg jose.SignatureAlgorithm) bool {
	if k.alg != "" && k.alg != string(alg) {
		return false
	}
	switch k.public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(string(alg), "RS") || strings.HasPrefix(string(alg), "PS")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(string(alg), "ES")
	}
	return alg == jose.EdDSA
}

// verify returns what was signed, or nothing. known is false when other keys
// might verify it: the kid is none of these, or there is no kid.
func (s keySet) verify(sig *jose.JSONWebSignature) (payload []byte, known bool) {
	header := sig.Signatures[0].Protected
	kid, alg := header.KeyID, jose.SignatureAlgorithm(header.Algorithm)
	for _, k := range s.candidates(kid, alg) {
		if payload, err := sig.Verify(k.public); err == nil {
			return payload, true
		}
	}
	return nil, kid != "" && len(s[kid]) > 0
}

// candidates returns the keys of a kid that fit an algorithm. Without a kid
// there must be just one that does.
func (s keySet) candidates(kid string, alg jose.SignatureAlgorithm) []key {
	var fit []key
	for of, keys := range s {
		for _, k := range keys {
			if (kid == "" || kid == of) && k.fits(alg) {
				fit = append(fit, k)
			}
		}
	}
	if kid == "" && len(fit) > 1 {
		return nil
	}
	return fit
}
