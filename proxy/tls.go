package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
)

var errPin = errors.New("the public key is none of those that are pinned")

// tlsConfig says how a back end is verified. No name is sent where its host is
// an address.
func (b *Backend) tlsConfig(host string) *tls.Config {
	c := &tls.Config{}
	if b.TLSConfig != nil {
		c = b.TLSConfig.Clone()
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if c.ServerName == "" {
		c.ServerName = strings.TrimSuffix(host, ".")
	}
	if len(b.Pins) > 0 {
		c.InsecureSkipVerify = true // the key is verified instead
		c.VerifyConnection = pinned(b.Pins, c.VerifyConnection)
	}
	return c
}

// pinned verifies the key of a certificate. The certificates above it are not
// looked at: without a chain to verify, anybody can send them.
func pinned(pins [][sha256.Size]byte, next func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || !slices.Contains(pins, sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)) {
			return errPin
		}
		if next != nil {
			return next(s)
		}
		return nil
	}
}
