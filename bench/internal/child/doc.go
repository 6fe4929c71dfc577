// Package child runs sluice for the commands below bench: it builds the program, starts it
// as a process that ends with the command, and asks its admin listener how it is. It works
// on Linux only, where processes are sure to end with the one that started them.
package child
