"""The parts of `nvrc-ref compare`: its options, the two videos, PSNR and MS-SSIM, the pictures."""
