package ledger

import (
	"strconv"
	"strings"
)

// column is a column of a table. Its kind is the type in the words of PostgreSQL.
type column struct{ name, kind string }

// table is what rows are written to.
type table struct {
	name    string
	columns []column
}

// names lists the columns as statements want them.
func (t *table) names() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// qualified lists the columns with the name of the table, for statements that have others.
func (t *table) qualified() string {
	return t.name + "." + strings.ReplaceAll(t.names(), ", ", ", "+t.name+".")
}

// kinds lists the kinds of the columns.
func (t *table) kinds() []string {
	kinds := make([]string, len(t.columns))
	for i, c := range t.columns {
		kinds[i] = c.kind
	}
	return kinds
}

// command writes one row with SQLite and any number of rows with PostgreSQL, which
// takes one array for each column.
type command struct {
	sqlite, postgres string
	kinds            []string
}

// insertInto returns the command that adds rows. The rest follows the rows: what is to
// be done on a conflict, and what is returned.
func insertInto(t *table, rest string) *command {
	kinds := t.kinds()
	head := "INSERT INTO " + t.name + " (" + t.names() + ") "
	return &command{
		sqlite:   head + "VALUES (" + strings.TrimSuffix(strings.Repeat("?, ", len(kinds)), ", ") + ") " + rest,
		postgres: head + "SELECT * FROM " + unnest(kinds) + " " + rest,
		kinds:    kinds,
	}
}

// deleteFrom returns the command that removes the rows with the values of some columns,
// and those that meet a further condition, if it is not empty.
func deleteFrom(name string, by []column, condition, rest string) *command {
	s := &command{sqlite: "DELETE FROM " + name + " WHERE "}
	var names, equal []string
	for _, c := range by {
		s.kinds = append(s.kinds, c.kind)
		names = append(names, "given."+c.name)
		equal = append(equal, name+"."+c.name+" = given."+c.name)
		s.sqlite += c.name + " = ? AND "
	}
	given := strings.ReplaceAll(strings.Join(names, ", "), "given.", "")
	s.postgres = "DELETE FROM " + name + " USING " + unnest(s.kinds) + " AS given (" + given + ") WHERE " + strings.Join(equal, " AND ")
	s.sqlite = strings.TrimSuffix(s.sqlite, " AND ")
	if condition != "" {
		s.sqlite += " AND " + condition
		s.postgres += " AND " + condition
	}
	s.sqlite += " " + rest
	s.postgres += " " + rest
	return s
}

// unnest makes rows of arrays.
func unnest(kinds []string) string {
	arrays := make([]string, len(kinds))
	for i, kind := range kinds {
		arrays[i] = "$" + strconv.Itoa(i+1) + "::" + kind + "[]"
	}
	return "unnest(" + strings.Join(arrays, ", ") + ")"
}
