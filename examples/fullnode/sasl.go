package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/examples/internal/datadir"
)

// secretScheme is the scheme of the secret that is kept of each password,
// beside its hash. While every account has one, clients may log in by SCRAM.
const secretScheme = "SCRAM-SHA-256"

// saslPolicy offers every mechanism that the accounts allow. The key of the
// salts of those who don't exist is kept, so that a restart does not tell
// them from those who do.
func saslPolicy(c *Config, data *datadir.Dir) (auth.Policy, error) {
	key, err := os.ReadFile(data.File("sasl.key"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(key) == 0 { // a crash may leave it empty
		key = []byte(rand.Text())
		err = os.WriteFile(data.File("sasl.key"), key, 0o600)
	}
	if err != nil {
		return auth.Policy{}, fmt.Errorf("key of salts: %w", err)
	}
	return auth.Policy{Secure: c.Auth.WithTLS, Plain: c.Auth.WithoutTLS, SCRAM: auth.SCRAMOptions{Key: key, Domain: c.Domain}, Realm: c.Domain}, nil
}
