package realtest

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	ldap "github.com/go-ldap/ldap/v3"
)

// SlapdUser returns the DN of a user: uid userN, addresses userN@example.test
// and aliasN@example.test, mailHost backend0.example.test or, of an odd
// number, backend1.example.test, password "pw", kept as {SSHA}.
//
// There are some special users beside them, with the password "pw" where
// nothing else is said: "plain", whose password is kept in clear text;
// "nopassword" and "nohost", who lack what their names say; "forward", whose
// mail goes to elsewhere@example.org; "twin1" and "twin2", who share the
// address twin@example.test.
func SlapdUser(n int) string { return SlapdPerson(fmt.Sprintf("user%d", n)) }

// SlapdPerson returns the DN of a user by his uid.
func SlapdPerson(uid string) string { return "uid=" + uid + "," + SlapdPeople }

// SlapdGroup returns the DN of a group. "inner" has user0 and user1, "middle"
// has user2 and inner, "outer" has middle; "ring1" and "ring2" have each
// other, and ring2 user3.
func SlapdGroup(cn string) string { return "cn=" + cn + "," + SlapdGroups }

// Attributes are what an entry has.
type Attributes map[string][]string

// Admin connects as SlapdAdmin. Close the connection.
func (s *Slapd) Admin() (*ldap.Conn, error) {
	conn, err := ldap.DialURL(s.SocketURI())
	if err != nil {
		return nil, err
	}
	conn.SetTimeout(30 * time.Second)
	if err := conn.Bind(SlapdAdmin, SlapdAdminPassword); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (s *Slapd) asAdmin(do func(*ldap.Conn) error) error {
	conn, err := s.Admin()
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(conn)
}

// Add adds an entry.
func (s *Slapd) Add(dn string, a Attributes) error {
	return s.asAdmin(func(c *ldap.Conn) error { return c.Add(addRequest(dn, a)) })
}

// Set replaces the values of one attribute of an entry; none remove it.
func (s *Slapd) Set(dn, attribute string, values ...string) error {
	return s.asAdmin(func(c *ldap.Conn) error { return c.Modify(setRequest(dn, attribute, values)) })
}

// Delete removes an entry.
func (s *Slapd) Delete(dn string) error {
	return s.asAdmin(func(c *ldap.Conn) error { return c.Del(ldap.NewDelRequest(dn, nil)) })
}

// Rename gives an entry another first part of its DN.
func (s *Slapd) Rename(dn, rdn string) error {
	return s.asAdmin(func(c *ldap.Conn) error { return c.ModifyDN(ldap.NewModifyDNRequest(dn, rdn, true, "")) })
}

// CatchUp waits until a replica has all changes of the server it is of.
func (s *Slapd) CatchUp(ctx context.Context) error {
	for {
		theirs, err := s.options.Of.state()
		if err != nil {
			return err
		}
		if ours, err := s.state(); err == nil && ours != "" && ours == theirs {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("replica does not catch up: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// state returns the number of the last change.
func (s *Slapd) state() (csn string, err error) {
	err = s.asAdmin(func(c *ldap.Conn) error {
		res, err := c.Search(ldap.NewSearchRequest(SlapdBase, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
			"(objectClass=*)", []string{"contextCSN"}, nil))
		if err == nil && len(res.Entries) > 0 {
			csn = res.Entries[0].GetAttributeValue("contextCSN")
		}
		return err
	})
	return csn, err
}

func addRequest(dn string, a Attributes) *ldap.AddRequest {
	req := ldap.NewAddRequest(dn, nil)
	for name, values := range a {
		req.Attribute(name, values)
	}
	return req
}

func setRequest(dn, attribute string, values []string) *ldap.ModifyRequest {
	req := ldap.NewModifyRequest(dn, nil)
	req.Replace(attribute, values)
	return req
}

// SSHA returns what userPassword keeps of a password (salted SHA-1).
func SSHA(password string) string {
	const salt = "saltsalt"
	sum := sha1.Sum([]byte(password + salt))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

// Person returns the attributes of a user as most have them; the cn is the uid.
func Person(uid string, with Attributes) Attributes {
	a := Attributes{
		"objectClass": {"inetOrgPerson", "inetLocalMailRecipient"}, "uid": {uid}, "cn": {uid}, "sn": {uid},
		"mail": {uid + "@example.test"}, "mailHost": {"backend0.example.test"}, "userPassword": {SSHA("pw")},
	}
	for name, values := range with {
		if a[name] = values; values == nil {
			delete(a, name)
		}
	}
	return a
}

// fill writes the users and groups.
func (s *Slapd) fill() error {
	return s.asAdmin(func(c *ldap.Conn) error {
		for _, add := range slices.Concat(slapdTop(), s.users(), slapdGroups()) {
			if err := c.Add(add); err != nil {
				return fmt.Errorf("%s: %w", add.DN, err)
			}
		}
		return nil
	})
}

func slapdTop() []*ldap.AddRequest {
	unit := func(name string) *ldap.AddRequest {
		return addRequest("ou="+name+","+SlapdBase, Attributes{"objectClass": {"organizationalUnit"}, "ou": {name}})
	}
	return []*ldap.AddRequest{
		addRequest(SlapdBase, Attributes{"objectClass": {"dcObject", "organization"}, "dc": {"example"}, "o": {"Example"}}),
		unit("people"), unit("groups"), unit("services"),
		addRequest(SlapdReader, Attributes{"objectClass": {"applicationProcess", "simpleSecurityObject"}, "cn": {"reader"},
			"userPassword": {SSHA(SlapdReaderPassword)}}),
	}
}

func (s *Slapd) users() []*ldap.AddRequest {
	person := func(uid string, with Attributes) *ldap.AddRequest {
		return addRequest(SlapdPerson(uid), Person(uid, with))
	}
	all := []*ldap.AddRequest{
		person("plain", Attributes{"userPassword": {"pw"}}),
		person("nopassword", Attributes{"userPassword": nil}),
		person("nohost", Attributes{"mailHost": nil}),
		person("forward", Attributes{"mailRoutingAddress": {"elsewhere@example.org"}}),
		person("twin1", Attributes{"mail": {"twin@example.test"}}),
		person("twin2", Attributes{"mail": {"twin@example.test"}}),
	}
	for i := range s.options.Users {
		uid := fmt.Sprintf("user%d", i)
		all = append(all, person(uid, Attributes{
			"mailLocalAddress": {uid + "@example.test", fmt.Sprintf("alias%d@example.test", i)},
			"mailHost":         {fmt.Sprintf("backend%d.example.test", i%2)},
		}))
	}
	return all
}

func slapdGroups() []*ldap.AddRequest {
	group := func(cn string, members ...string) *ldap.AddRequest {
		return addRequest(SlapdGroup(cn), Attributes{"objectClass": {"groupOfNames"}, "cn": {cn}, "member": members})
	}
	return []*ldap.AddRequest{
		group("inner", SlapdUser(0), SlapdUser(1)),
		group("middle", SlapdUser(2), SlapdGroup("inner")),
		group("outer", SlapdGroup("middle")),
		group("ring1", SlapdGroup("ring2")),
		group("ring2", SlapdUser(3), SlapdGroup("ring1")),
	}
}
