package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/posthouse-mail/posthouse/server"
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

// Open loads the certificate, or where none is named the self-signed one below
// a directory, which it makes for host names and addresses when it is missing.
func (t TLS) Open(directory string, names ...string) (*server.Certificate, error) {
	cert, key := t.Certificate, t.Key
	if cert == "" {
		cert, key = filepath.Join(directory, "tls", "cert.pem"), filepath.Join(directory, "tls", "key.pem")
		if _, err := os.Stat(cert); errors.Is(err, os.ErrNotExist) {
			if err := makeSelfSigned(names, cert, key); err != nil {
				return nil, fmt.Errorf("making a certificate: %w", err)
			}
		}
	}
	return server.OpenCertificate(cert, key)
}

func makeSelfSigned(names []string, certFile, keyFile string) error {
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
		Subject:      pkix.Name{CommonName: names[0]},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:         true, BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(certFile), 0o700); err != nil {
		return err
	}
	// The key first: a certificate without its key would stay for ever.
	if err := writePEM(keyFile, "PRIVATE KEY", secret); err != nil {
		return err
	}
	return writePEM(certFile, "CERTIFICATE", cert)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
