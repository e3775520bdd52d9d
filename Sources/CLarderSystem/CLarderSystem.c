#include "CLarderSystem.h"
