package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/examples/internal/config"
)

// actFor lets front ends log in for users whom they have checked. They do not
// get the rights of who administers public folders.
func (o *opened) actFor(c *Config) (func(auth.Authenticator) auth.Authenticator, error) {
	if c.FrontEndUser == "" {
		return func(a auth.Authenticator) auth.Authenticator { return a }, nil
	}
	password, err := config.FirstLine(c.FrontEndPasswordFile)
	if err == nil && password == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("front_end_password_file: %w", err)
	}
	f := accountauth.FrontEnd{Name: c.FrontEndUser, Password: password, Trusted: c.TrustedFrontEnds.Contains, Excluded: isPostmaster}
	accounts, _ := directory.As[directory.Accounts](o.resolver)
	return func(a auth.Authenticator) auth.Authenticator { return accountauth.ActFor(a, accounts, f) }, nil
}

// isPostmaster reports whether an account administers the public folders of a
// domain, see access.Subject.
func isPostmaster(a directory.Account) bool {
	return slices.ContainsFunc(append([]string{a.Name}, a.Aliases...), func(name string) bool {
		return strings.HasPrefix(strings.ToLower(name), "postmaster@")
	})
}
