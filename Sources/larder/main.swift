// Starts the program.

import LarderProgram

runLarder()
