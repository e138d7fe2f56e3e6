package realtest

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// writeCertificate writes the certificate of internal/testcert to cert.pem and
// its key to key.pem.
func writeCertificate(dir string) error {
	pair := testcert.Server().Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	if err := write(dir, "cert.pem", string(cert)); err != nil {
		return err
	}
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	return os.WriteFile(filepath.Join(dir, "key.pem"), key, 0o600) // Samba refuses a key that others can read
}
