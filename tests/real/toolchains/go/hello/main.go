// A program that is no plugin.
package main

import "fmt"

func main() { fmt.Println("hello") }
