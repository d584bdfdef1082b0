/* What an emulated board can do for a program. */
#ifndef BOARD_H
#define BOARD_H

void board_print(const char *text);
void board_exit(int status);

#endif
