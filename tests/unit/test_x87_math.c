/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transcendental functions: values computed independently with 700 bits, correctly rounded, the trigonometric
 * ones after exact reduction by the 66-bit pi; the tables of special operands of SDM volume 2; and, within an ulp,
 * the host's own instructions. */
#include <check.h>
#include <stdlib.h>

#include "vmm/soft/x87_math.h"

enum function { F_SIN, F_COS, F_TAN, F_EXP2M1, F_YLOG2, F_YLOG2P1, F_ATAN2 };

struct known_answer {
	enum function fn;
	u8 rc;
	struct x87_reg x, y; /* ST0 and ST1 */
	struct x87_reg result;
	bool up; /* C1 */
};

static const struct known_answer answers[] = {
    {F_SIN, 3, {0xec3367ee9cfd0a64ull, 0x4026}, {0xffffffffffffffffull, 0x400d}, {0xfde3ff5429192436ull, 0xbffe}, 0},
    {F_SIN, 0, {0x84a70665eacd27e0ull, 0x403b}, {0x8000000000000000ull, 0x4002}, {0xa0997e17aec19692ull, 0x3ffd}, 1},
    {F_SIN, 1, {0x8000000000000000ull, 0x3fdd}, {0x8000000000000020ull, 0x3fee}, {0xffffffffffffffffull, 0x3fdc}, 0},
    {F_SIN, 1, {0x8000002000000000ull, 0xc02f}, {0x8000020000000000ull, 0x3fe1}, {0xfee0f085ab98534cull, 0xbffe}, 1},
    {F_SIN, 3, {0xe9ffd8c0ae68eb30ull, 0x3ffb}, {0x8001000000000000ull, 0x400b}, {0xe97d97d824d18abaull, 0x3ffb}, 0},
    {F_SIN, 3, {0xffffffffffffffffull, 0xbfff}, {0xc509c9ad8dd027d4ull, 0x400c}, {0xe8c7b7568da22efeull, 0xbffe}, 0},
    {F_SIN, 1, {0xd33c0ab2dcade1a3ull, 0x3ffe}, {0x8000000000000000ull, 0x3fe7}, {0xbc11529b0f7a18e6ull, 0x3ffe}, 0},
    {F_SIN, 0, {0x8000000000000000ull, 0x3f8f}, {0x8000000000000000ull, 0xc01a}, {0x8000000000000000ull, 0x3f8f}, 1},
    {F_SIN, 1, {0xef080ca90d1aeb46ull, 0x3f9d}, {0x8000000000000000ull, 0x4009}, {0xef080ca90d1aeb45ull, 0x3f9d}, 0},
    {F_SIN, 1, {0x8000000000002000ull, 0xbffd}, {0xa5213b8e0f2a0f49ull, 0x3fe3}, {0xfd5776a798abf3d7ull, 0xbffc}, 1},
    {F_SIN, 2, {0xae675d68f1b86fc5ull, 0x3f6f}, {0x8486e157a2c6d412ull, 0x3fe6}, {0xae675d68f1b86fc5ull, 0x3f6f}, 1},
    {F_SIN, 0, {0x8000000000000000ull, 0xbff8}, {0xc2b2c86a4cbd821eull, 0x400b}, {0xffff555577777437ull, 0xbff7}, 0},
    {F_SIN, 3, {0xe4d1b8d45011be1bull, 0xc031}, {0x8000000000000000ull, 0x4008}, {0xcfd99c6d481093e0ull, 0x3ffe}, 0},
    {F_SIN, 1, {0x9c72ec0000000000ull, 0x3fd3}, {0x8000010000000000ull, 0xbffa}, {0x9c72ebffffffffffull, 0x3fd3}, 0},
    {F_SIN, 0, {0x90a803de90000000ull, 0x3fc3}, {0x8008000000000000ull, 0xc006}, {0x90a803de90000000ull, 0x3fc3}, 1},
    {F_SIN, 0, {0x8000000000000000ull, 0x3ffc}, {0x8000000000000100ull, 0xc01c}, {0xff5577743771ae50ull, 0x3ffb}, 0},
    {F_SIN, 2, {0x9a03328949642068ull, 0xbff7}, {0x8000000000000000ull, 0x4002}, {0x9a030d5fe0f26280ull, 0xbff7}, 0},
    {F_SIN, 2, {0xffffffffffffffffull, 0xbffd}, {0x8000000000000000ull, 0x3ffa}, {0xf57743a2582f7f42ull, 0xbffd}, 0},
    {F_SIN, 0, {0x8000000000000000ull, 0xbfff}, {0xffffffffffffffffull, 0x4013}, {0xd76aa47848677021ull, 0xbffe}, 1},
    {F_SIN, 3, {0xdba5b21abadfe6abull, 0xc03a}, {0x8000000000040000ull, 0x3ff8}, {0xf13f397c00d272cfull, 0xbffe}, 0},
    {F_COS, 1, {0x8000000000000000ull, 0x3ffd}, {0xffffffffffffffffull, 0xc00f}, {0xf80aa4fbef750ba7ull, 0x3ffe}, 0},
    {F_COS, 1, {0xffffffffffffffffull, 0x3f9b}, {0x8000000000001000ull, 0xc00b}, {0xffffffffffffffffull, 0x3ffe}, 0},
    {F_COS, 1, {0xffffffffffffffffull, 0x4035}, {0x88ab23d6146a2168ull, 0xc008}, {0x9ca7588cc4aa21c4ull, 0xbffe}, 1},
    {F_COS, 0, {0xffffffffffffffffull, 0x3fd1}, {0xf7203bbef7a5f000ull, 0xbffa}, {0x8000000000000000ull, 0x3fff}, 1},
    {F_COS, 3, {0xc0f98d9d4d800000ull, 0x3fea}, {0xda047faeac0b8000ull, 0xc019}, {0xffffffffffb7445cull, 0x3ffe}, 0},
    {F_COS, 2, {0x8000000000040000ull, 0x3ffd}, {0x8000000000200000ull, 0xbffb}, {0xf80aa4fbef748cfcull, 0x3ffe}, 1},
    {F_COS, 1, {0xe173c00000000000ull, 0x3fb5}, {0xa977a8e812a00000ull, 0xa215}, {0xffffffffffffffffull, 0x3ffe}, 0},
    {F_COS, 3, {0x8000040000000000ull, 0x4008}, {0x961f417bba37f72bull, 0xbff7}, {0xff31be52d7ba7e1cull, 0xbffe}, 0},
    {F_COS, 2, {0xef98a9a58f9f7583ull, 0xc02e}, {0xffffffffffffffffull, 0x4003}, {0xc1b29d5d42d98aa2ull, 0x3ffe}, 1},
    {F_COS, 1, {0xffffffffffffffffull, 0xbffd}, {0x8000000000000000ull, 0xc006}, {0xe0a94032dbea7cedull, 0x3ffe}, 0},
    {F_COS, 3, {0x8000000000000000ull, 0x4021}, {0x8000000000008000ull, 0x4012}, {0xafa16ba3694b822cull, 0xbffd}, 0},
    {F_COS, 3, {0xffffffffffffffffull, 0xc03d}, {0xd5279b54f2809c3dull, 0xc017}, {0xf56ec1e0a37c4176ull, 0x3ffd}, 0},
    {F_COS, 3, {0x8ed8a024ad964c5bull, 0x3ff8}, {0xf8e4834056a4b916ull, 0xbfe4}, {0xfffd8258c0fd0f77ull, 0x3ffe}, 0},
    {F_COS, 3, {0x91cdf2ef32e3b1a5ull, 0x3fff}, {0xe4770673280576feull, 0x3fef}, {0xd63a66c62f9435a9ull, 0x3ffd}, 0},
    {F_COS, 3, {0x8000000000000200ull, 0x400c}, {0xf1ac29ba5ec66bcdull, 0xbff8}, {0x95ea1e875a595b24ull, 0x3ffd}, 0},
    {F_COS, 3, {0x9f2035846012528aull, 0x4010}, {0xffffffffffffffffull, 0xbffc}, {0xfd20803cc82fe4dbull, 0xbffe}, 0},
    {F_COS, 1, {0x8000001000000000ull, 0xbff8}, {0xabecdbdbc8000000ull, 0x3ff2}, {0xfffe0000aa2a943eull, 0x3ffe}, 0},
    {F_COS, 0, {0xfe7368fc1a1c0000ull, 0x3ffa}, {0x86779c26e883073full, 0x73a9}, {0xff8195cca4d6627aull, 0x3ffe}, 0},
    {F_COS, 2, {0xffffffffffffffffull, 0xbf7a}, {0x8000000000000000ull, 0x400b}, {0x8000000000000000ull, 0x3fff}, 1},
    {F_COS, 1, {0xffffffffffffffffull, 0x3f95}, {0xffffffffffffffffull, 0x3fe6}, {0xffffffffffffffffull, 0x3ffe}, 0},
    {F_TAN, 0, {0x8000000000200000ull, 0x4021}, {0xc44175155e83bf61ull, 0xbfeb}, {0xad26a71602e64d91ull, 0xc000}, 0},
    {F_TAN, 2, {0x8000000000000000ull, 0xc027}, {0x8000000000000040ull, 0xc01c}, {0xe343caf132a562a2ull, 0xbffd}, 0},
    {F_TAN, 2, {0x8000800000000000ull, 0x4022}, {0x8400000000000000ull, 0x3ff1}, {0x9751bbecfbe015d4ull, 0x3fff}, 1},
    {F_TAN, 2, {0xf09c13dc72d2442cull, 0x3ff8}, {0x8a6dc348ea83d3b3ull, 0xc00f}, {0xf0a0818de8279796ull, 0x3ff8}, 1},
    {F_TAN, 0, {0xc800000000000000ull, 0xc004}, {0xffffffffffffffffull, 0x4009}, {0x8b368e98959c7466ull, 0x3ffd}, 1},
    {F_TAN, 2, {0xb38a437797874449ull, 0xc029}, {0xffffffffffffffffull, 0xbfe7}, {0xf394bc0c81dfa082ull, 0xbffd}, 0},
    {F_TAN, 3, {0xf878ae8098000000ull, 0x3ffa}, {0xf52f142845b113c5ull, 0xc004}, {0xf8c6d2160a181897ull, 0x3ffa}, 0},
    {F_TAN, 0, {0xf4a6acd8c6a25900ull, 0xbfb2}, {0x8000000000000000ull, 0xbff4}, {0xf4a6acd8c6a25900ull, 0xbfb2}, 0},
    {F_TAN, 0, {0xee40000000000000ull, 0xc00c}, {0x8000010000000000ull, 0xc01a}, {0xde85174cec733af4ull, 0x4000}, 1},
    {F_TAN, 3, {0xc09a497ed6000000ull, 0xc037}, {0x8002000000000000ull, 0xbffd}, {0xb78a036cba4f0080ull, 0xbfff}, 0},
    {F_TAN, 2, {0x991e2fff52b0d395ull, 0x3ffe}, {0xa4bc62e34e000000ull, 0xbfe5}, {0xae6ea5db1efe5a4eull, 0x3ffe}, 1},
    {F_TAN, 2, {0x8000000002000000ull, 0x3ff6}, {0xf6caa04194f6a940ull, 0xc00b}, {0x80000aaaadbbbc58ull, 0x3ff6}, 1},
    {F_TAN, 2, {0x8000000000000001ull, 0x4013}, {0xffffffffffffffffull, 0xbffb}, {0xb34972bbc94c2f0aull, 0x3ffd}, 1},
    {F_TAN, 3, {0xffffffffffffffffull, 0xc002}, {0x8000000000800000ull, 0xbffd}, {0x99ec781f3b4cfecaull, 0xbffd}, 0},
    {F_TAN, 2, {0x8001000000000000ull, 0xbff8}, {0xdb9e2e9670b152b3ull, 0xc00c}, {0x8001aaafbbd020cdull, 0xbff8}, 0},
    {F_TAN, 1, {0xffffffffffffffffull, 0x3f85}, {0xffffffffffffffffull, 0xc001}, {0xffffffffffffffffull, 0x3f85}, 0},
    {F_TAN, 0, {0xffffffffffffffffull, 0xc035}, {0x8004000000000000ull, 0x401b}, {0xa57066479a9d3a53ull, 0xbfff}, 0},
    {F_TAN, 1, {0xf051a1b800000000ull, 0x3ff9}, {0xb0b2000000000000ull, 0xbffc}, {0xf063493c2b1d76e4ull, 0x3ff9}, 0},
    {F_TAN, 1, {0x8000004000000000ull, 0x401e}, {0x8000000002000000ull, 0xc549}, {0xa7ea19c19c6a5b05ull, 0xbffc}, 1},
    {F_TAN, 2, {0x8000000000000000ull, 0xbff8}, {0x8080000000000000ull, 0xbffa}, {0x8000aaabbbbd75daull, 0xbff8}, 0},
    {F_EXP2M1, 2, {0x92785f02dda5d451ull, 0x3f38}, {0x8000000000000000ull, 0xbff4}, {0xcb0d0203ca7c87acull, 0x3f37}, 1},
    {F_EXP2M1, 2, {0x98b9f5a1436914b1ull, 0xbf5e}, {0xac00000000000000ull, 0x3ffa}, {0xd3b947e0de298079ull, 0xbf5d}, 0},
    {F_EXP2M1, 1, {0x8000000008000000ull, 0x3ffb}, {0xaf00000000000000ull, 0xbfef}, {0xb5586cf994a4370dull, 0x3ffa}, 0},
    {F_EXP2M1, 2, {0xcd5858731ebd0f5cull, 0x3ffc}, {0x9d041a6c34000000ull, 0xbff9}, {0x98b382b57790ee57ull, 0x3ffc}, 1},
    {F_EXP2M1, 3, {0x8000000100000000ull, 0x3fbe}, {0x8000000000000000ull, 0x6ae0}, {0xb17217f934b3a99bull, 0x3fbd}, 0},
    {F_EXP2M1, 1, {0xffffffffffffffffull, 0x3ffc}, {0x8000000000200000ull, 0xbfe5}, {0xc1bf828c6dc54b79ull, 0x3ffc}, 0},
    {F_EXP2M1, 2, {0x9734614a5d44c000ull, 0x3ffb}, {0xc9d9d493a2aebf9cull, 0xc000}, {0xd711ffae9dcb3c2full, 0x3ffa}, 1},
    {F_EXP2M1, 1, {0xa0c225034d400000ull, 0x3f41}, {0x8000000000800000ull, 0x3fec}, {0xdedbc231a88ee477ull, 0x3f40}, 0},
    {F_EXP2M1, 3, {0x83fa01f5a1bf5be9ull, 0xbff9}, {0xffffffffffffffffull, 0xc015}, {0xb5f0cf088fe4e7b0ull, 0xbff8}, 0},
    {F_EXP2M1, 1, {0xffffffffffffffffull, 0x3ffe}, {0x81f3f03d8df707f5ull, 0xc006}, {0xfffffffffffffffeull, 0x3ffe}, 0},
    {F_EXP2M1, 0, {0xc000000000000000ull, 0xbffb}, {0xffffffffffffffffull, 0x4005}, {0x80da3321192851a6ull, 0xbffb}, 1},
    {F_EXP2M1, 1, {0xbd2c06bbd683b831ull, 0xbffb}, {0xffffffffffffffffull, 0xbfec}, {0xfe07742bdb475118ull, 0xbffa}, 1},
    {F_EXP2M1, 3, {0xd792abf16fba4deeull, 0x3ffa}, {0x8000000000000000ull, 0x3ffd}, {0x982ec816250bd18full, 0x3ffa}, 0},
    {F_EXP2M1, 2, {0xffffffffffffffffull, 0xbffe}, {0x8346630fd14d9e5bull, 0xbffc}, {0xffffffffffffffffull, 0xbffd}, 0},
    {F_EXP2M1, 1, {0xe7b16f0780000000ull, 0x3ffb}, {0x8002000000000000ull, 0x3fe6}, {0xa70fe263afd3b113ull, 0x3ffb}, 0},
    {F_EXP2M1, 1, {0xfc888ab8a5000000ull, 0x3fc1}, {0xc3d49cd27a042044ull, 0xc00d}, {0xaf0af45c2b7b0caaull, 0x3fc1}, 0},
    {F_EXP2M1, 1, {0x9efcb2d4d4e172b6ull, 0xbf6e}, {0xa1424324791c3d28ull, 0x4010}, {0xdc67261ecc4afe27ull, 0xbf6d}, 1},
    {F_EXP2M1, 2, {0xcc18dc31314c77c0ull, 0x3ff9}, {0x8000400000000000ull, 0x4009}, {0x8eb2ab88ef40007eull, 0x3ff9}, 1},
    {F_EXP2M1, 1, {0x8002000000000000ull, 0xbffb}, {0xec143cbbe95585fbull, 0xc015}, {0xadaad65e31333d75ull, 0xbffa}, 1},
    {F_EXP2M1, 0, {0xecdae422e085ba38ull, 0xbffd}, {0xffffffffffffffffull, 0xc004}, {0x8c7485dfcc3bc29dull, 0xbffd}, 0},
    {F_YLOG2, 2, {0xc75771963b0d6037ull, 0x4005}, {0x8000000000200000ull, 0x4003}, {0xd4737f6710e2a65full, 0x4005}, 1},
    {F_YLOG2, 3, {0x8000000000200000ull, 0x4103}, {0xcb8b5f3e01243544ull, 0x8a6b}, {0xceb98cbaf9290f82ull, 0x8a73}, 0},
    {F_YLOG2, 2, {0xffffffffffffffffull, 0x9a}, {0xffffffffffffffffull, 0x3ff0}, {0xfd8fffffffffffffull, 0xbffe}, 0},
    {F_YLOG2, 3, {0x8000000000000200ull, 0x3ffc}, {0x8000000000000000ull, 0x3fe8}, {0xbffffffffffffe8eull, 0xbfe9}, 0},
    {F_YLOG2, 0, {0xffffffffffffffffull, 0x3ffd}, {0xfd322b9af3febc2cull, 0xc01b}, {0xfd322b9af3febc2dull, 0x401b}, 0},
    {F_YLOG2, 1, {0xf5cf8f968028937full, 0x400a}, {0x89a8fed117164b92ull, 0xdbea}, {0xcd7b5f46df873ac7ull, 0xdbed}, 1},
    {F_YLOG2, 2, {0x868171ddaaadbc40ull, 0x3fef}, {0xce3fe965c9aab3c8ull, 0x4001}, {0xcd53e2f465ced3d4ull, 0xc005}, 0},
    {F_YLOG2, 2, {0xdb9a072000000000ull, 0x3ff8}, {0x8000000000000000ull, 0xbffa}, {0xc71484e5b2cf3f3dull, 0x3ffc}, 1},
    {F_YLOG2, 3, {0xff4e67d62325bb66ull, 0x400e}, {0xac599e7d827c67c0ull, 0xbfee}, {0xac4ed2d4ee17aaa1ull, 0xbff2}, 0},
    {F_YLOG2, 0, {0xf675c1fc9e400000ull, 0x4008}, {0x8d85980000000000ull, 0xbff7}, {0xafeedcfb11c0bc5bull, 0xbffa}, 0},
    {F_YLOG2, 0, {0xd847f90194292262ull, 0x3fff}, {0xb000000000000000ull, 0xc010}, {0x8530c324a81b2a4dull, 0xc010}, 0},
    {F_YLOG2, 0, {0x8caaac6b69431cf5ull, 0x3ffe}, {0xde9d2d9000000000ull, 0x4013}, {0xc04ed82adca1b351ull, 0xc013}, 1},
    {F_YLOG2, 1, {0xe576304d3a8b1d03ull, 0x3fee}, {0xdfd6046ff5376f95ull, 0x5729}, {0xe20b7ba2d17160a8ull, 0xd72d}, 1},
    {F_YLOG2, 2, {0xc4fc5bfb92c6bd95ull, 0x3ffd}, {0x8000000000000000ull, 0x4007}, {0xb06404d27068fb38ull, 0xc007}, 0},
    {F_YLOG2, 1, {0xffffffffffffffffull, 0x3ffb}, {0x8000000000000100ull, 0x229f}, {0xc000000000000181ull, 0xa2a0}, 1},
    {F_YLOG2, 3, {0xffffffffffffffffull, 0x3fed}, {0xcc8c0a1bbacd9823ull, 0x3fe8}, {0xd954cabd767a71a5ull, 0xbfec}, 0},
    {F_YLOG2, 0, {0x853ec03e2267e430ull, 0x4007}, {0x8000000000040000ull, 0xc001}, {0x80ed5155e88b7d05ull, 0xc004}, 0},
    {F_YLOG2, 3, {0xb175fc1e8931845dull, 0x400b}, {0x8000040000000000ull, 0xbfec}, {0xc78ab41634e0c348ull, 0xbfef}, 0},
    {F_YLOG2, 0, {0x8546000000000000ull, 0x3fff}, {0x8000000020000000ull, 0x4001}, {0xee92ca05303388ecull, 0x3ffc}, 0},
    {F_YLOG2, 1, {0xbc549ef4046cbf6dull, 0x3ffe}, {0xaa96f58000000000ull, 0xc010}, {0x9719b4ad91537990ull, 0x400f}, 0},
    {F_YLOG2P1,
     0,
     {0x99933f9fbdc00000ull, 0x4034},
     {0x9f48915018823c58ull, 0x24d6},
     {0x848f88e2cddc9bc3ull, 0x24dc},
     0},
    {F_YLOG2P1,
     3,
     {0xb13460d5deb7887eull, 0xbff8},
     {0x9dd80fa85c557709ull, 0xc007},
     {0x9e7cf9435288f10eull, 0x4001},
     0},
    {F_YLOG2P1,
     3,
     {0xd2d6be56b65536f1ull, 0x4013},
     {0xc829f35dda32ea0aull, 0x400a},
     {0x819b28cbc37b137aull, 0x400f},
     0},
    {F_YLOG2P1,
     2,
     {0xbd5e08b724a261b0ull, 0xbff9},
     {0xc9e2a00000000000ull, 0xc017},
     {0xd9fa63f659c13cf6ull, 0x4012},
     1},
    {F_YLOG2P1,
     2,
     {0x860116128302d77dull, 0xbffa},
     {0x8000000000000000ull, 0x3ff3},
     {0xc48f76b4f5304343ull, 0xbfee},
     0},
    {F_YLOG2P1,
     2,
     {0x9f9a3bba2f1f8000ull, 0xbfe5},
     {0xcb30e028559f94fcull, 0xc004},
     {0xb6c2461fefd891efull, 0x3feb},
     1},
    {F_YLOG2P1,
     2,
     {0xec2006927a0f388full, 0x405c},
     {0xf96f4d3e8de42972ull, 0xc011},
     {0xb6f392a3f4179365ull, 0xc018},
     0},
    {F_YLOG2P1,
     3,
     {0xffffffffffffffffull, 0x3ffc},
     {0x9dfdea7fd0000000ull, 0x4007},
     {0xcb72b4edb081149cull, 0x4005},
     0},
    {F_YLOG2P1,
     1,
     {0x8000000000000004ull, 0x401b},
     {0x95555328b9d1e194ull, 0xc000},
     {0x82aaa8c40e504650ull, 0xc005},
     1},
    {F_YLOG2P1,
     1,
     {0xeda238bd72ad5583ull, 0xbfa0},
     {0xffffffffffffffffull, 0x3ff9},
     {0xab6a9d6c9fc601c4ull, 0xbf9c},
     1},
    {F_YLOG2P1,
     1,
     {0x8010000000000000ull, 0x3fe5},
     {0xffffffffffffffffull, 0x1a23},
     {0xb8c15059a6366439ull, 0x1a0a},
     0},
    {F_YLOG2P1,
     2,
     {0xf00e85b281000000ull, 0x4036},
     {0xefbb6c98fe508e3aull, 0x3fea},
     {0xd16b09b27cf0e8b5ull, 0x3ff0},
     1},
    {F_YLOG2P1,
     0,
     {0xffffffffffffffffull, 0xbffd},
     {0xd36595eb5c3362caull, 0xbfff},
     {0xd36595eb5c3362c9ull, 0x3fff},
     1},
    {F_YLOG2P1,
     3,
     {0xffffffffffffffffull, 0x3ffd},
     {0x8000000000000000ull, 0x4018},
     {0x95c01a39fbd6879full, 0x4017},
     0},
    {F_YLOG2P1,
     1,
     {0x986c1b9f4bbcddf4ull, 0x3fe6},
     {0xb14aaabdab514123ull, 0xc018},
     {0x984a3d907fec92d6ull, 0xc000},
     1},
    {F_YLOG2P1,
     3,
     {0xde0815b8170448e0ull, 0xbff8},
     {0x8000000000000000ull, 0x4014},
     {0xa141cf753132614eull, 0xc00e},
     0},
    {F_YLOG2P1,
     2,
     {0xb97ddd7d6dbff12dull, 0x400d},
     {0xffffffffffffffffull, 0x3fe9},
     {0xe890789e74fa7bd2ull, 0x3fed},
     1},
    {F_YLOG2P1,
     1,
     {0xe2c204a718a03d18ull, 0xbffd},
     {0x8000080000000000ull, 0x3fff},
     {0xd80d9af7e4ee0e90ull, 0xbffe},
     1},
    {F_YLOG2P1,
     3,
     {0xec15aef7043d1768ull, 0xbff9},
     {0xffffffffffffffffull, 0xbfe6},
     {0xaccd1ce94faec0a4ull, 0x3fe2},
     0},
    {F_YLOG2P1,
     2,
     {0xffffffffffffffffull, 0x4031},
     {0xfe7e363ee35a0000ull, 0x3fea},
     {0xcacc933a1d2bb8b8ull, 0x3ff0},
     1},
    {F_ATAN2, 2, {0x8200000000000000ull, 0x401b}, {0xffffffffffffffffull, 0xc026}, {0xc907baa22433ed88ull, 0xbfff}, 0},
    {F_ATAN2, 0, {0xba52722022e1ecceull, 0xbfbf}, {0x8000004000000000ull, 0x3fb1}, {0xc90f2ac40a6af5bcull, 0x4000}, 0},
    {F_ATAN2, 1, {0xfbfbfc9c8b87ce57ull, 0xc059}, {0xffffffffffffffffull, 0xc040}, {0xc90fda819edc172eull, 0xc000}, 1},
    {F_ATAN2, 3, {0x8b28437eb9c2da2full, 0xbfcf}, {0xb869e2e3ee681331ull, 0xbfba}, {0xc90fd7fb9e8af01cull, 0xc000}, 0},
    {F_ATAN2, 2, {0xd0e6800000000000ull, 0xbff9}, {0xb5ce4e7c2651656eull, 0xbfd9}, {0xc90fdaa1e9b5c5f1ull, 0xc000}, 0},
    {F_ATAN2, 1, {0xb1cbf9a89567730eull, 0x402d}, {0x8000200000000000ull, 0xc01c}, {0xb84d0eb1e8d1d3d4ull, 0xbfed}, 1},
    {F_ATAN2, 3, {0xffffffffffffffffull, 0x3fc3}, {0xa7cac17399d0b953ull, 0x3fb2}, {0xa7cac17393cef30eull, 0x3fed}, 0},
    {F_ATAN2, 1, {0x9dac793c94634f76ull, 0x4007}, {0x93c8fe830e9a6000ull, 0xbffd}, {0xeff1db9943b6e156ull, 0xbff4}, 1},
    {F_ATAN2, 0, {0x8000000000040000ull, 0x403f}, {0x8000000000000020ull, 0xc026}, {0xfffffffffff7eaebull, 0xbfe5}, 1},
    {F_ATAN2, 2, {0xcaa30f7800000000ull, 0xbfbe}, {0xffffffffffffffffull, 0x3feb}, {0xc90fdaa2216becc2ull, 0x3fff}, 1},
    {F_ATAN2, 2, {0xffffffffffffffffull, 0xbff2}, {0xffffffffffffffffull, 0x4012}, {0xc90fdaa2a168c235ull, 0x3fff}, 1},
    {F_ATAN2, 0, {0xb565fc5f1a0ab330ull, 0xbfea}, {0x8004000000000000ull, 0x3fbf}, {0xc90fdaa221631ce7ull, 0x4000}, 1},
    {F_ATAN2, 2, {0xffffffffffffffffull, 0x400e}, {0xc17e000000000000ull, 0x3ff1}, {0xc17dfffffffffff8ull, 0x3fe1}, 1},
    {F_ATAN2, 3, {0xffffffffffffffffull, 0xc033}, {0xa29fe709a094e4b4ull, 0xc012}, {0xc90fdaa20d14c553ull, 0xc000}, 0},
    {F_ATAN2, 3, {0xd92e5f761a108cccull, 0x404d}, {0xaea8000000000000ull, 0x401b}, {0xcddfcd4a6bbd2d9aull, 0x3fcc}, 0},
    {F_ATAN2, 3, {0xffffffffffffffffull, 0x3fcb}, {0xceaa509a8f1e3fb6ull, 0x3fe1}, {0xc90fd827e82cbb91ull, 0x3fff}, 0},
    {F_ATAN2, 0, {0xb450acfc00000000ull, 0xc053}, {0xfa2d800000000000ull, 0x4068}, {0xc90fdd842d366b1dull, 0x3fff}, 1},
    {F_ATAN2, 1, {0xc2d838e3f680427full, 0x3fac}, {0x8000008000000000ull, 0xbfd3}, {0xc90fdaa21fe311c5ull, 0xbfff}, 1},
    {F_ATAN2, 2, {0x8a00000000000000ull, 0x402b}, {0xcabf5f073b0888bcull, 0xc03c}, {0xc90faf125ec8cffaull, 0xbfff}, 0},
    {F_ATAN2, 0, {0x97bdb12a6107f54bull, 0x3fa6}, {0x8000000000000000ull, 0x3fb3}, {0xc90b1cb498a3e49aull, 0x3fff}, 1},
};

static struct x87_reg call(enum function fn, struct f80_env *env, struct x87_reg x, struct x87_reg y)
{
	struct f80_num a = f80_unpack(x), b = f80_unpack(y);
	struct x87_reg r = {0, 0};

	switch (fn) {
	case F_SIN:
		f80_sincos(env, &a, &r, NULL);
		break;
	case F_COS:
		f80_sincos(env, &a, NULL, &r);
		break;
	case F_TAN:
		f80_tan(env, &a, &r);
		break;
	case F_EXP2M1:
		return f80_exp2m1(env, &a);
	case F_YLOG2:
		return f80_ylog2(env, &b, &a);
	case F_YLOG2P1:
		return f80_ylog2p1(env, &b, &a);
	case F_ATAN2:
		return f80_atan2(env, &b, &a);
	}
	return r;
}

START_TEST(known_answers)
{
	const struct known_answer *v = &answers[_i];
	/* Precision control has no say here. */
	struct f80_env env = {.fcw = 0x3f | v->rc << 10};
	struct x87_reg r = call(v->fn, &env, v->x, v->y);

	ck_assert_uint_eq(r.mant, v->result.mant);
	ck_assert_uint_eq(r.se, v->result.se);
	ck_assert_uint_eq(env.raised & X87_C1, v->up ? X87_C1 : 0);
	ck_assert_uint_eq(env.raised & X87_PE, X87_PE);
}
END_TEST

/* --- special operands --- */

#define ZERO      ((struct x87_reg){0, 0})
#define ONE       F80_ONE
#define TWO       ((struct x87_reg){F80_INTEGER, F80_BIAS + 1})
#define HALF      ((struct x87_reg){F80_INTEGER, F80_BIAS - 1})
#define INF       ((struct x87_reg){F80_INTEGER, F80_EXP_MAX})
#define TINY      ((struct x87_reg){1, 0})
#define SIGNALING ((struct x87_reg){F80_INTEGER | 5, F80_EXP_MAX})
#define QUIET_NAN ((struct x87_reg){F80_INTEGER | F80_QUIET | 5, F80_EXP_MAX})
#define BIG       ((struct x87_reg){F80_INTEGER, F80_BIAS + 63})
#define PI_1      ((struct x87_reg){0xc90fdaa22168c235ull, F80_BIAS + 1})
#define PI_2      ((struct x87_reg){0xc90fdaa22168c235ull, F80_BIAS})
#define PI_4      ((struct x87_reg){0xc90fdaa22168c235ull, F80_BIAS - 1})
#define PI34      ((struct x87_reg){0x96cbe3f9990e91a8ull, F80_BIAS + 1})

static struct x87_reg neg(struct x87_reg r)
{
	r.se ^= F80_SIGN;
	return r;
}

static void expect(enum function fn, struct x87_reg x, struct x87_reg y, struct x87_reg want, u16 raised)
{
	struct f80_env env = {.fcw = 0x37f};
	struct x87_reg r = call(fn, &env, x, y);

	ck_assert_msg(r.mant == want.mant && r.se == want.se, "function %d of %04x:%016lx, %04x:%016lx: %04x:%016lx",
		      fn, x.se, x.mant, y.se, y.mant, r.se, r.mant);
	ck_assert_msg((env.raised & ~X87_C1) == raised, "function %d of %04x:%016lx, %04x:%016lx: raised %x", fn, x.se,
		      x.mant, y.se, y.mant, env.raised);
}

/* SDM volume 2, tables of FPATAN, FYL2X, FYL2XP1, F2XM1, FSIN, FCOS, FPTAN. */
START_TEST(special_atan2)
{
	expect(F_ATAN2, INF, INF, PI_4, X87_PE);
	expect(F_ATAN2, neg(INF), INF, PI34, X87_PE);
	expect(F_ATAN2, neg(INF), neg(INF), neg(PI34), X87_PE);
	expect(F_ATAN2, ONE, INF, PI_2, X87_PE);
	expect(F_ATAN2, ZERO, neg(ONE), neg(PI_2), X87_PE);
	expect(F_ATAN2, neg(INF), ONE, PI_1, X87_PE);
	expect(F_ATAN2, INF, neg(ONE), neg(ZERO), 0);
	expect(F_ATAN2, ONE, ZERO, ZERO, 0);
	expect(F_ATAN2, ZERO, neg(ZERO), neg(ZERO), 0);
	expect(F_ATAN2, neg(ZERO), ZERO, PI_1, X87_PE);
	expect(F_ATAN2, neg(ONE), neg(ZERO), neg(PI_1), X87_PE);
	expect(F_ATAN2, ONE, ONE, PI_4, X87_PE);
	expect(F_ATAN2, SIGNALING, ONE, QUIET_NAN, X87_IE);
	expect(F_ATAN2, ONE, QUIET_NAN, QUIET_NAN, 0);
}
END_TEST

START_TEST(special_log)
{
	expect(F_YLOG2, ZERO, ONE, neg(INF), X87_ZE);
	expect(F_YLOG2, ZERO, neg(ONE), INF, X87_ZE);
	expect(F_YLOG2, ZERO, INF, neg(INF), 0);
	expect(F_YLOG2, ZERO, ZERO, F80_DEFAULT, X87_IE);
	expect(F_YLOG2, neg(ONE), ONE, F80_DEFAULT, X87_IE);
	expect(F_YLOG2, neg(INF), ONE, F80_DEFAULT, X87_IE);
	expect(F_YLOG2, ONE, INF, F80_DEFAULT, X87_IE);
	expect(F_YLOG2, ONE, neg(TWO), neg(ZERO), 0);
	expect(F_YLOG2, HALF, ZERO, neg(ZERO), 0);
	expect(F_YLOG2, HALF, INF, neg(INF), 0);
	expect(F_YLOG2, TWO, INF, INF, 0);
	expect(F_YLOG2, INF, neg(ONE), neg(INF), 0);
	expect(F_YLOG2, INF, ZERO, F80_DEFAULT, X87_IE);
	expect(F_YLOG2, TWO, TWO, TWO, X87_PE);
	expect(F_YLOG2, SIGNALING, ZERO, QUIET_NAN, X87_IE);

	expect(F_YLOG2P1, ZERO, neg(ONE), neg(ZERO), 0);
	expect(F_YLOG2P1, neg(ZERO), neg(ONE), ZERO, 0);
	expect(F_YLOG2P1, ZERO, INF, F80_DEFAULT, X87_IE);
	expect(F_YLOG2P1, INF, ZERO, F80_DEFAULT, X87_IE);
	expect(F_YLOG2P1, neg(INF), ONE, F80_DEFAULT, X87_IE);
	expect(F_YLOG2P1, neg(HALF), INF, neg(INF), 0);
	expect(F_YLOG2P1, HALF, neg(ZERO), neg(ZERO), 0);
}
END_TEST

START_TEST(special_unary)
{
	expect(F_EXP2M1, ZERO, ZERO, ZERO, 0);
	expect(F_EXP2M1, neg(ZERO), ZERO, neg(ZERO), 0);
	expect(F_EXP2M1, ONE, ZERO, ONE, X87_PE);
	expect(F_EXP2M1, neg(ONE), ZERO, neg(HALF), X87_PE);
	expect(F_EXP2M1, INF, ZERO, INF, 0);
	expect(F_EXP2M1, neg(INF), ZERO, neg(ONE), 0);

	expect(F_SIN, neg(ZERO), ZERO, neg(ZERO), 0);
	expect(F_COS, neg(ZERO), ZERO, ONE, 0);
	expect(F_TAN, neg(ZERO), ZERO, neg(ZERO), 0);
	expect(F_SIN, INF, ZERO, F80_DEFAULT, X87_IE);
	expect(F_COS, neg(INF), ZERO, F80_DEFAULT, X87_IE);
	expect(F_TAN, SIGNALING, ZERO, QUIET_NAN, X87_IE);
	expect(F_SIN, TINY, ZERO, TINY, X87_DE | X87_UE | X87_PE);
	expect(F_COS, TINY, ZERO, ONE, X87_DE | X87_PE);
}
END_TEST

START_TEST(range_limit)
{
	struct f80_num big = f80_unpack(BIG), below = f80_unpack((struct x87_reg){~0ull, F80_BIAS + 62});
	struct f80_env env = {.fcw = 0x37f};
	struct x87_reg r = TWO;

	ck_assert(!f80_sincos(&env, &big, &r, NULL));
	ck_assert(!f80_tan(&env, &big, &r));
	ck_assert_uint_eq(env.raised, 0);
	ck_assert_uint_eq(r.mant, F80_INTEGER);
	ck_assert(f80_sincos(&env, &below, &r, NULL));
}
END_TEST

/* The sine of a 64-bit pi is what it is short of Intel's 66-bit pi. */
START_TEST(intel_pi)
{
	struct f80_num pi = f80_unpack((struct x87_reg){0xc90fdaa22168c234ull, F80_BIAS + 1});
	struct f80_env env = {.fcw = 0x37f};
	struct x87_reg r;

	/* 3.243F6A8885A308D3h less 3.243F6A8885A308D0h */
	ck_assert(f80_sincos(&env, &pi, &r, NULL));
	ck_assert_uint_eq(r.mant, 0xc000000000000000ull);
	ck_assert_uint_eq(r.se, F80_BIAS - 63);
}
END_TEST

/* --- the host --- */

static long double to_host(struct x87_reg r)
{
	long double v = 0;

	memcpy(&v, &r.mant, 8);
	memcpy((char *)&v + 8, &r.se, 2);
	return v;
}

static struct x87_reg from_host(long double v)
{
	struct x87_reg r;

	memcpy(&r.mant, &v, 8);
	memcpy(&r.se, (char *)&v + 8, 2);
	return r;
}

static long double host_call(enum function fn, long double x, long double y)
{
	long double r = 0, t;

	switch (fn) {
	case F_SIN:
		__asm__("fsin" : "=t"(r) : "0"(x));
		break;
	case F_COS:
		__asm__("fcos" : "=t"(r) : "0"(x));
		break;
	case F_TAN:
		__asm__("fptan" : "=t"(t), "=u"(r) : "0"(x));
		break;
	case F_EXP2M1:
		__asm__("f2xm1" : "=t"(r) : "0"(x));
		break;
	case F_YLOG2:
		__asm__("fyl2x" : "=t"(r) : "0"(x), "u"(y) : "st(1)");
		break;
	case F_YLOG2P1:
		__asm__("fyl2xp1" : "=t"(r) : "0"(x), "u"(y) : "st(1)");
		break;
	case F_ATAN2:
		__asm__("fpatan" : "=t"(r) : "0"(x), "u"(y) : "st(1)");
		break;
	}
	return r;
}

/* Arguments where no vendor's reduction matters. */
START_TEST(host_within_ulp)
{
	enum function fn = _i;
	u64 seed = 88172645463325252ull;

	for (unsigned n = 0; n < 3000; n++) {
		struct x87_reg x, y, soft, host;
		struct f80_env env = {.fcw = 0x37f};
		s64 distance;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		x = (struct x87_reg){seed | F80_INTEGER, F80_BIAS - 3 - (seed >> 40 & 15)};
		if (fn != F_YLOG2)
			x.se |= seed >> 33 & F80_SIGN;
		y = (struct x87_reg){seed << 9 | F80_INTEGER, F80_BIAS + 5 - (seed >> 50 & 15)};
		soft = call(fn, &env, x, y);
		host = from_host(host_call(fn, to_host(x), to_host(y)));
		distance = (s64)(soft.mant - host.mant);
		if (soft.se != host.se) {
			/* Across a power of two. */
			if (abs(soft.se - host.se) != 1)
				ck_abort_msg("function %d of %04x:%016lx", fn, x.se, x.mant);
			continue;
		}
		if (distance < -1 || distance > 1)
			ck_abort_msg("function %d of %04x:%016lx: %ld ulp", fn, x.se, x.mant, (long)distance);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("x87_math");
	TCase *tc = tcase_create("x87_math");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, known_answers, 0, ARRAY_SIZE(answers));
	tcase_add_test(tc, special_atan2);
	tcase_add_test(tc, special_log);
	tcase_add_test(tc, special_unary);
	tcase_add_test(tc, range_limit);
	tcase_add_test(tc, intel_pi);
	tcase_add_loop_test(tc, host_within_ulp, F_SIN, F_ATAN2 + 1);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
