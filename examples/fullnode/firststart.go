package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/directory"
)

// firstStart gives an empty directory its domain and one account, and prints
// that account's password: once, it is kept nowhere.
func firstStart(ctx context.Context, c *Config, o *opened, out io.Writer) error {
	domains, err := o.directory.Domains(ctx)
	if err != nil || len(domains) > 0 {
		return err
	}
	password := rand.Text()[:16]
	hash, secrets, err := auth.PasswordForms(password, secretScheme)
	if err != nil {
		return err
	}
	if err := o.directory.AddDomain(ctx, c.Domain); err != nil {
		return err
	}
	name := "alice@" + c.Domain
	if err := o.addAccount(ctx, directory.Account{Name: name, Password: hash, Secrets: secrets}); err != nil {
		return err
	}
	fmt.Fprintf(out, "account %s password %s\n", name, password)
	return nil
}
