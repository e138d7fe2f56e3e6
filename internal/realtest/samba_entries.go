package realtest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
	"unicode/utf16"

	ldap "github.com/go-ldap/ldap/v3"

	"github.com/posthouse-mail/posthouse/internal/testcert"
)

// SambaUser returns the DN of a user: sAMAccountName userN, userPrincipalName
// userN@ad.example.test, mail userN@example.test, proxyAddresses
// SMTP:userN@example.test and smtp:aliasN@example.test; the cn is "User
// Number N", so that no name stands for another.
//
// There are some special users beside them: "disabled" is that;
// "nomail" has no address but his userPrincipalName.
func SambaUser(n int) string { return fmt.Sprintf("CN=User Number %d,%s", n, SambaUsers) }

// SambaPerson returns the DN of a special user by his sAMAccountName.
func SambaPerson(name string) string { return "CN=The " + name + "," + SambaUsers }

// SambaGroup returns the DN of a group: "inner", "middle" and "outer" have
// the members that a Slapd's have.
func SambaGroup(cn string) string { return "CN=" + cn + "," + SambaUsers }

// Admin connects as SambaAdmin. Close the connection.
func (s *SambaAD) Admin() (*ldap.Conn, error) {
	// Passwords are set over TLS alone.
	conn, err := ldap.DialURL(s.SecureURI(), ldap.DialWithTLSConfig(testcert.Client()))
	if err != nil {
		return nil, err
	}
	conn.SetTimeout(30 * time.Second)
	if err := conn.Bind(SambaAdmin, SambaPassword); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (s *SambaAD) asAdmin(do func(*ldap.Conn) error) error {
	conn, err := s.Admin()
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(conn)
}

// Add adds entries, named by their DNs.
func (s *SambaAD) Add(entries map[string]Attributes) error {
	return s.asAdmin(func(c *ldap.Conn) error {
		for dn, a := range entries {
			if err := c.Add(addRequest(dn, a)); err != nil {
				return fmt.Errorf("%s: %w", dn, err)
			}
		}
		return nil
	})
}

// Set replaces the values of one attribute of an entry; none remove it.
func (s *SambaAD) Set(dn, attribute string, values ...string) error {
	return s.asAdmin(func(c *ldap.Conn) error { return c.Modify(setRequest(dn, attribute, values)) })
}

// Delete removes an entry.
func (s *SambaAD) Delete(dn string) error {
	return s.asAdmin(func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Rename gives an entry another first part of its DN.
func (s *SambaAD) Rename(dn, rdn string) error {
	return s.asAdmin(func(c *ldap.Conn) error { return c.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, "")) })
}

// SambaAccount returns the attributes of a user with a login name and SambaPassword.
func SambaAccount(name string, with Attributes) Attributes {
	a := Attributes{
		"objectClass": {"user"}, "sAMAccountName": {name}, "userPrincipalName": {name + "@" + SambaRealm},
		"userAccountControl": {accountNormal}, "unicodePwd": {unicodePassword(SambaPassword)},
	}
	for name, values := range with {
		a[name] = values
	}
	return a
}

// Values of userAccountControl.
const (
	accountNormal   = "512"
	accountDisabled = "514"
)

// unicodePassword returns a password as Active Directory takes it: quoted, in UTF-16.
func unicodePassword(password string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}

// fill writes the users and groups.
func (s *SambaAD) fill(users int) error {
	return s.asAdmin(func(c *ldap.Conn) error {
		for _, add := range slices.Concat(sambaUsers(users), sambaGroups()) {
			if err := c.Add(add); err != nil {
				return fmt.Errorf("%s: %w", add.DN, err)
			}
		}
		return nil
	})
}

func sambaUsers(users int) []*ldap.AddRequest {
	all := []*ldap.AddRequest{
		addRequest(SambaReader, SambaAccount("reader", nil)),
		addRequest(SambaPerson("disabled"), SambaAccount("disabled", Attributes{
			"mail": {"disabled@example.test"}, "userAccountControl": {accountDisabled},
		})),
		addRequest(SambaPerson("nomail"), SambaAccount("nomail", nil)),
	}
	for i := range users {
		name := fmt.Sprintf("user%d", i)
		all = append(all, addRequest(SambaUser(i), SambaAccount(name, Attributes{
			"mail":           {name + "@example.test"},
			"proxyAddresses": {"SMTP:" + name + "@example.test", fmt.Sprintf("smtp:alias%d@example.test", i)},
		})))
	}
	return all
}

func sambaGroups() []*ldap.AddRequest {
	group := func(cn string, members ...string) *ldap.AddRequest {
		return addRequest(SambaGroup(cn), Attributes{"objectClass": {"group"}, "sAMAccountName": {cn}, "member": members})
	}
	return []*ldap.AddRequest{
		group("inner", SambaUser(0), SambaUser(1)),
		group("middle", SambaUser(2), SambaGroup("inner")),
		group("outer", SambaGroup("middle")),
	}
}
