package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// TLS says where a certificate is. The zero value: a self-signed one is made.
type TLS struct {
	Certificate string `toml:"certificate"` // PEM files; empty: self-signed, in the directory that the program keeps
	Key         string `toml:"key"`
}

// Validate says that one file is missing.
func (t TLS) Validate() error {
	if (t.Certificate == "") != (t.Key == "") {
		return errors.New("tls.certificate and tls.key go together")
	}
	return nil
}

// Certificate is a server's TLS certificate, which Reload reads again while
// connections go on.
type Certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

// Open loads the certificate, or where none is named the self-signed one below
// a directory, which it makes for a host name when it is missing.
func (t TLS) Open(directory, hostname string) (*Certificate, error) {
	own := &Certificate{certFile: t.Certificate, keyFile: t.Key}
	if own.certFile == "" {
		own.certFile, own.keyFile = filepath.Join(directory, "tls", "cert.pem"), filepath.Join(directory, "tls", "key.pem")
		if _, err := os.Stat(own.certFile); errors.Is(err, os.ErrNotExist) {
			if err := own.makeSelfSigned(hostname); err != nil {
				return nil, fmt.Errorf("making a certificate: %w", err)
			}
		}
	}
	return own, own.Reload()
}

// Reload reads the files; on an error the certificate stays as it was.
func (c *Certificate) Reload() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.current.Store(&pair)
	return nil
}

// Config returns a server's TLS configuration for one protocol's ALPN name.
func (c *Certificate) Config(alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: alpn,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}

func (c *Certificate) makeSelfSigned(hostname string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: hostname},
		DNSNames:     []string{hostname, "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:         true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.certFile), 0o700); err != nil {
		return err
	}
	// The key first: a certificate without its key would stay for ever.
	if err := writePEM(c.keyFile, "PRIVATE KEY", secret); err != nil {
		return err
	}
	return writePEM(c.certFile, "CERTIFICATE", cert)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
